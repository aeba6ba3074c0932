import { ConnectionError, errorCode } from './error-codes.ts';

/** The Huffman code of HPACK (RFC 7541 Appendix B): it is canonical, so the lengths say all. The last is the end of string. */
const lengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const endOfString = 256;

/** By state and four bits: the next state in the high half, the symbol that they complete plus one in the low half. */
const steps = new Int32Array(256 * 16);
/** States in which a string may end: at most seven bits of padding, all ones. */
const mayEnd = new Uint8Array(256);
const dead = 0x7fff;

buildSteps();

function buildSteps(): void {
  const children: [number, number][] = [[0, 0]];
  let code = 0;
  let length = 0;
  // Leaves are negative: -1 - symbol.
  for (const symbol of [...lengths.keys()].sort((a, b) => lengthOf(a) - lengthOf(b) || a - b)) {
    code <<= lengthOf(symbol) - length;
    length = lengthOf(symbol);
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const side = (code >>> bit) & 1;
      let next = children[node]?.[side] ?? 0;
      if (next === 0) {
        next = children.push([0, 0]) - 1;
        set(children, node, side, next);
      }
      node = next;
    }
    set(children, node, code & 1, -1 - symbol);
    code++;
  }
  for (const state of children.keys()) {
    for (let bits = 0; bits < 16; bits++) steps[state * 16 + bits] = step(children, state, bits);
  }
  for (let node = 0, depth = 0; depth < 8; depth++, node = children[node]?.[1] ?? 0) mayEnd[node] = 1;
}

function lengthOf(symbol: number): number {
  return lengths[symbol] ?? 0;
}

function set(children: readonly [number, number][], node: number, side: number, value: number): void {
  const pair = children[node];
  if (pair) pair[side === 0 ? 0 : 1] = value;
}

function step(children: readonly [number, number][], state: number, bits: number): number {
  let node = state;
  let symbol = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = children[node]?.[(bits >>> bit) & 1] ?? 0;
    if (next >= 0) {
      node = next;
      continue;
    }
    if (-1 - next === endOfString) return dead << 16;
    symbol = -next;
    node = 0;
  }
  return (node << 16) | symbol;
}

const scratch = Buffer.allocUnsafeSlow(16 * 1024);

/** Decodes one string; the bytes that it stands for, as Latin-1. */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string {
  // The shortest code has five bits.
  const longest = Math.ceil(((end - start) * 8) / 5);
  const out = longest <= scratch.length ? scratch : Buffer.allocUnsafe(longest);
  let length = 0;
  let state = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    for (let shift = 4; shift >= 0; shift -= 4) {
      const next = steps[state * 16 + ((byte >>> shift) & 15)] as number;
      state = next >>> 16;
      if (state === dead) throw new ConnectionError(errorCode.compressionError, 'a string has an end inside of it');
      const symbol = next & 0xffff;
      if (symbol !== 0) out[length++] = symbol - 1;
    }
  }
  if (mayEnd[state] !== 1) throw new ConnectionError(errorCode.compressionError, 'a string is padded wrongly');
  return out.toString('latin1', 0, length);
}
