import { bodies, fieldLines, oddBytes, oddStrings, requestLines, statusLines } from './http1-corpus.ts';

/** Repeatable chance: the same seed gives the same inputs. */
export interface Chance {
  /** An integer below `n`. */
  below(n: number): number;
}

export function createChance(seed: number): Chance {
  let state = seed >>> 0;
  return {
    below(n) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
    },
  };
}

/** One to three messages in a row, built of odd pieces, then bent in up to three places. */
export function generateInput(type: 'request' | 'response', chance: Chance): Buffer {
  let text = '';
  const count = [1, 1, 1, 2, 2, 3][chance.below(6)]!;
  for (let i = 0; i < count; i++) text += type === 'request' ? generateRequest(chance) : generateResponse(chance);
  let bytes = Buffer.from(text, 'latin1');
  const bends = [0, 0, 0, 1, 1, 2, 3][chance.below(7)]!;
  for (let i = 0; i < bends; i++) bytes = bend(bytes, chance);
  return bytes;
}

function generateRequest(chance: Chance): string {
  // Half of the time the line and the Host are fine, else most inputs would end there.
  const line = chance.below(4) > 0 ? requestLines[chance.below(5)]! : pick(requestLines, chance);
  const host = chance.below(16) === 0 ? [] : ['Host: a'];
  return `${[line, ...host, ...somefields(chance)].join('\r\n')}\r\n\r\n${generateBody(chance)}`;
}

function generateResponse(chance: Chance): string {
  const line = chance.below(4) > 0 ? statusLines[chance.below(8)]! : pick(statusLines, chance);
  return `${[line, ...somefields(chance)].join('\r\n')}\r\n\r\n${generateBody(chance)}`;
}

/** Lines that are mostly taken. */
const soundLines = fieldLines.filter((line) => /^(?:connection|proxy-|te:|trailer|keep|x-|up|expect|x)/i.test(line));

/** Often a pair of lines that belong together, so that bodies and switches are reached; else anything. */
function somefields(chance: Chance): string[] {
  const fields: string[] = [];
  const sound = chance.below(6);
  if (sound === 0) fields.push('Content-Length: 5');
  if (sound === 1) fields.push('Transfer-Encoding: chunked');
  if (sound === 2 && chance.below(2) === 0) fields.push('Connection: Upgrade', 'Upgrade: websocket');
  const more = [0, 0, 0, 1, 1, 1, 2, 2, 3, 6][chance.below(10)]!;
  const list = chance.below(3) === 0 ? soundLines : fieldLines;
  for (let i = 0; i < more; i++) fields.splice(chance.below(fields.length + 1), 0, pick(list, chance));
  return fields;
}

function generateBody(chance: Chance): string {
  return chance.below(3) === 0 ? '' : pick(bodies, chance);
}

function bend(bytes: Buffer, chance: Chance): Buffer<ArrayBuffer> {
  const at = chance.below(bytes.length + 1);
  const to = Math.min(bytes.length, at + chance.below(12));
  const before = bytes.subarray(0, at);
  switch (chance.below(7)) {
    case 0:
      return Buffer.concat([before, Buffer.of(pick(oddBytes, chance)), bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([before, Buffer.of(pick(oddBytes, chance)), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([before, bytes.subarray(at + 1)]);
    case 3:
      return Buffer.concat([before, bytes.subarray(to)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 5:
      return Buffer.concat([before, Buffer.from(pick(oddStrings, chance), 'latin1'), bytes.subarray(at)]);
    default:
      return Buffer.concat([before]);
  }
}

function pick<T>(list: readonly T[], chance: Chance): T {
  return list[chance.below(list.length)]!;
}
