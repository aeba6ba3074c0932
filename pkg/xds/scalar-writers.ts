import { expectInteger, expectNumber, expectString, misfit } from './expect-value.ts';
import { toBytesField, toVarint } from './wire.ts';

/** The bytes of a value, without a tag; `path` is where it stands, for what is wrong with it. */
export type WriteValue = (value: unknown, path: string) => Buffer;

export interface Scalar {
  readonly wireType: number;
  readonly write: WriteValue;
}

const integer = (min: bigint, max: bigint, encode: (value: bigint) => Buffer, wireType = 0): Scalar => ({
  wireType,
  write: (value, path) => encode(expectInteger(value, min, max, path)),
});

const max32 = 2n ** 31n - 1n;
const max64 = 2n ** 63n - 1n;
const zigzag = (value: bigint): bigint => (value >= 0n ? value * 2n : -value * 2n - 1n);

const scalars: Readonly<Record<string, Scalar>> = {
  string: { wireType: 2, write: (value, path) => Buffer.from(expectString(value, path), 'utf8') },
  bytes: {
    wireType: 2,
    write: (value, path) =>
      value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(expectString(value, path), 'base64'),
  },
  bool: {
    wireType: 0,
    write: (value, path) => {
      if (typeof value !== 'boolean' && value !== 'true' && value !== 'false') throw misfit(path, 'a boolean', value);
      return Buffer.from([value === true || value === 'true' ? 1 : 0]);
    },
  },
  int32: integer(-max32 - 1n, max32, (value) => toBigVarint(BigInt.asUintN(64, value))),
  sint32: integer(-max32 - 1n, max32, (value) => toBigVarint(zigzag(value))),
  uint32: integer(0n, 2n ** 32n - 1n, toBigVarint),
  int64: integer(-max64 - 1n, max64, (value) => toBigVarint(BigInt.asUintN(64, value))),
  sint64: integer(-max64 - 1n, max64, (value) => toBigVarint(zigzag(value))),
  uint64: integer(0n, 2n ** 64n - 1n, toBigVarint),
  fixed32: integer(0n, 2n ** 32n - 1n, (value) => toFixed(value, 4), 5),
  sfixed32: integer(-max32 - 1n, max32, (value) => toFixed(BigInt.asUintN(32, value), 4), 5),
  fixed64: integer(0n, 2n ** 64n - 1n, (value) => toFixed(value, 8), 1),
  sfixed64: integer(-max64 - 1n, max64, (value) => toFixed(BigInt.asUintN(64, value), 8), 1),
  double: { wireType: 1, write: (value, path) => toDouble(expectNumber(value, path)) },
  float: {
    wireType: 5,
    write: (value, path) => {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatLE(expectNumber(value, path));
      return bytes;
    },
  },
};

export function isScalar(type: string): boolean {
  return type in scalars;
}

/** How the values of a scalar type are written. */
export function scalarOf(type: string): Scalar {
  const scalar = scalars[type];
  if (!scalar) throw new Error(`can't happen: ${type} is not a scalar type`);
  return scalar;
}

export function enumWriter(name: string, values: Readonly<Record<string, number>>): WriteValue {
  return (value, path) => {
    const number = typeof value === 'string' ? values[value] : Object.values(values).find((known) => known === value);
    if (number === undefined) throw misfit(path, `one of ${name}`, value);
    return toBigVarint(BigInt.asUintN(64, BigInt(number)));
  };
}

/** Wire type of what is preceded by its length: text, bytes, messages, packed lists. */
export const lengthDelimited = 2;

export function toField(id: number, wireType: number, bytes: Buffer): Buffer {
  return wireType === lengthDelimited ? toBytesField(id, bytes) : Buffer.concat([toVarint(id * 8 + wireType), bytes]);
}

export function toBigVarint(value: bigint): Buffer {
  if (value <= Number.MAX_SAFE_INTEGER) return toVarint(Number(value));
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

function toFixed(value: bigint, size: 4 | 8): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.subarray(0, size);
}

export function toDouble(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}
