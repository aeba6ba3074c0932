import {
  preface,
  toFrame,
  toHeaderFrames,
  toPing,
  toReset,
  toSettings,
  toWindowUpdate,
} from '../../pkg/http2/frames.ts';
import { HpackEncoder } from '../../pkg/http2/hpack-encoder.ts';
import type { Chance } from './http1-generate.ts';

/** The bytes of one client connection; `sound`: every rule was kept. */
export interface Http2Input {
  readonly bytes: Buffer;
  readonly sound: boolean;
}

const names = ['x-a', 'accept', 'user-agent', 'cookie', 'content-type', 'x-long-name-of-a-field', 'traceparent', 'te'];
const values = ['', 'a', 'text/plain', 'v'.repeat(300), 'é', '1', 'a b', 'trailers'];
const badNames = [
  'X-A',
  'connection',
  'transfer-encoding',
  'a b',
  '',
  'x:y',
  'keep-alive',
  ':path',
  ':status',
  'upgrade',
  'x\0',
];
const badValues = ['a\r\nb: c', 'a\0', ' a', 'a ', '\t', 'a\n'];
const methods = ['GET', 'POST', 'DELETE', 'PATCH', 'HEAD'];
const paths = ['/', '/a', '/a?b=c', '/a/../b', '/%2e%2e/x', '*'];

/** A few requests on one connection; two of three inputs break something. */
export function generateHttp2(chance: Chance): Http2Input {
  const encoder = new HpackEncoder();
  const faults = chance.below(3) === 0 ? 0 : 1 + chance.below(3);
  let left = faults;
  const breaks = (): boolean => {
    if (left === 0 || chance.below(6) > 0) return false;
    left -= 1;
    return true;
  };
  const pick = <T>(list: readonly T[]): T => list[chance.below(list.length)] as T;

  function head(): string[] {
    const fields = [':method', pick(methods), ':scheme', 'http', ':path', pick(paths), ':authority', 'a.b'];
    if (breaks()) {
      const at = 2 * chance.below(4);
      const kind = chance.below(4);
      if (kind === 0) fields.splice(at, 2);
      else if (kind === 1) fields.push(fields[at] as string, fields[at + 1] as string);
      else if (kind === 2) fields[at + 1] = pick(['', ' ', 'a b', '/x y', '\0', 'a:b:c', 'CONNECT', 'é']);
      else fields.splice(at, 0, pick([':protocol', ':foo', ':status']), '1');
    }
    return [...fields, ...more()];
  }

  function more(): string[] {
    const fields: string[] = [];
    for (let n = chance.below(5); n > 0; n--) {
      const name = pick(names);
      fields.push(name, name === 'te' ? 'trailers' : pick(values));
    }
    if (breaks()) fields.push(chance.below(2) === 0 ? pick(badNames) : 'x-b', pick([...values, ...badValues]));
    return fields;
  }

  function block(id: number, fields: readonly string[], end: boolean): Buffer {
    const bytes = Buffer.from(encoder.encode(fields));
    const kind = chance.below(4);
    if (kind === 0 && bytes.length > 4) {
      // In pieces.
      const at = 1 + chance.below(bytes.length - 1);
      return Buffer.concat([toFrame(1, end ? 1 : 0, id, bytes.subarray(0, at)), toFrame(9, 4, id, bytes.subarray(at))]);
    }
    if (kind === 1) {
      // Padded, with a priority.
      const pad = chance.below(9);
      const priority = Buffer.from([0, 0, 0, 0, chance.below(256)]);
      return toFrame(
        1,
        (end ? 1 : 0) | 4 | 8 | 0x20,
        id,
        Buffer.concat([Buffer.from([pad]), priority, bytes, Buffer.alloc(pad)]),
      );
    }
    return toHeaderFrames(id, bytes, end);
  }

  const frames: Buffer[] = [toSettings(chance.below(2) === 0 ? [] : [[4, 65_535 + chance.below(1000)]])];
  for (let i = 0, count = 1 + chance.below(4); i < count; i++) {
    const id = breaks() ? chance.below(9) : 2 * i + 1;
    const hasBody = chance.below(2) === 0;
    const fields = head();
    const body = Buffer.alloc(chance.below(40), 'b');
    if (hasBody && chance.below(3) === 0)
      fields.push('content-length', String(body.length + (breaks() ? 1 + chance.below(3) : 0)));
    frames.push(block(id, fields, !hasBody));
    if (!hasBody) continue;
    const trailers = chance.below(3) === 0;
    const half = chance.below(body.length + 1);
    frames.push(toFrame(0, 0, id, body.subarray(0, half)));
    if (chance.below(3) === 0) frames.push(toPing(Buffer.alloc(8, i), false));
    if (breaks()) frames.push(oddFrame(id));
    const pad = Buffer.alloc(1 + chance.below(5));
    pad[0] = pad.length - 1;
    const rest = body.subarray(half);
    const end = trailers ? 0 : 1;
    frames.push(
      chance.below(3) === 0
        ? toFrame(0, end | 8, id, Buffer.concat([pad.subarray(0, 1), rest, pad.subarray(1)]))
        : toFrame(0, end, id, rest),
    );
    if (trailers) frames.push(block(id, ['x-t', 'end', ...(breaks() ? [pick(badNames), 'x'] : [])], !breaks()));
  }
  let bytes: Buffer = Buffer.concat(frames);
  if (breaks()) bytes = damage(bytes);
  return { bytes: Buffer.concat([preface, bytes, toPing(Buffer.from('the end!'), false)]), sound: left === faults };

  function oddFrame(id: number): Buffer {
    switch (chance.below(8)) {
      case 0:
        return toReset(id, 8);
      case 1:
        return toWindowUpdate(chance.below(2) * id, chance.below(2) * 1000);
      case 2:
        return toFrame(
          chance.below(12),
          chance.below(256),
          chance.below(12),
          Buffer.alloc(chance.below(12), chance.below(256)),
        );
      case 3:
        return toSettings([[chance.below(8), chance.below(2) === 0 ? chance.below(100_000) : 0xffff_ffff]]);
      case 4:
        return toFrame(7, 0, 0, Buffer.alloc(8 + chance.below(3)));
      case 5:
        return toFrame(2, 0, id, Buffer.alloc(4 + chance.below(2)));
      case 6:
        return toFrame(5, 4, id, Buffer.alloc(8));
      default:
        return toFrame(0, chance.below(16), id + 2 * chance.below(2), Buffer.alloc(chance.below(6)));
    }
  }

  function damage(sound: Buffer): Buffer {
    const bytes = Buffer.from(sound);
    for (let n = 1 + chance.below(3); n > 0; n--) {
      const at = chance.below(bytes.length);
      bytes[at] = chance.below(2) === 0 ? chance.below(256) : (bytes[at] as number) ^ (1 << chance.below(8));
    }
    return chance.below(4) === 0 ? bytes.subarray(0, chance.below(bytes.length)) : bytes;
  }
}
