import { expectList, expectObject, expectString, misfit } from './expect-value.ts';
import { scalarOf, toBigVarint, toDouble, toField, type WriteValue } from './scalar-writers.ts';
import { toBytesField, toVarint } from './wire.ts';

const wrappers: Readonly<Record<string, string>> = Object.fromEntries(
  ['Bool', 'String', 'Bytes', 'Int32', 'UInt32', 'Int64', 'UInt64', 'Float', 'Double'].map((name) => [
    `google.protobuf.${name}Value`,
    name.toLowerCase(),
  ]),
);

/** Writes a type of google.protobuf that has a JSON form of its own; `Any` is the encoder's, which knows all types. */
export function findWellKnownWriter(typeName: string): WriteValue | undefined {
  switch (typeName) {
    case 'google.protobuf.Duration':
      return (value, path) => writeDuration(expectString(value, path), path);
    case 'google.protobuf.Timestamp':
      return (value, path) => writeTimestamp(expectString(value, path), path);
    case 'google.protobuf.Struct':
      return writeStruct;
    case 'google.protobuf.Value':
      return writeStructValue;
    case 'google.protobuf.ListValue':
      return (value, path) =>
        Buffer.concat(expectList(value, path).map((item) => toBytesField(1, writeStructValue(item, path))));
    default: {
      const scalar = wrappers[typeName];
      if (!scalar) return undefined;
      const { write, wireType } = scalarOf(scalar);
      return (value, path) => toField(1, wireType, write(value, path));
    }
  }
}

function writeDuration(text: string, path: string): Buffer {
  const [, sign, seconds = '', fraction = ''] = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text) ?? [];
  if (seconds === '') throw misfit(path, 'a duration like "1.5s"', text);
  const factor = sign === '-' ? -1n : 1n;
  return toSecondsAndNanos(BigInt(seconds) * factor, BigInt(fraction.padEnd(9, '0')) * factor);
}

function writeTimestamp(text: string, path: string): Buffer {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw misfit(path, 'a time of RFC 3339', text);
  const seconds = Math.floor(time / 1000);
  return toSecondsAndNanos(BigInt(seconds), BigInt((time - seconds * 1000) * 1_000_000));
}

function toSecondsAndNanos(seconds: bigint, nanos: bigint): Buffer {
  const field = (id: number, value: bigint): Buffer =>
    value === 0n ? Buffer.alloc(0) : toField(id, 0, toBigVarint(BigInt.asUintN(64, value)));
  return Buffer.concat([field(1, seconds), field(2, nanos)]);
}

function writeStruct(value: unknown, path: string): Buffer {
  const entries = Object.entries(expectObject(value, path)).map(([key, item]) =>
    toBytesField(
      1,
      Buffer.concat([
        toBytesField(1, Buffer.from(key, 'utf8')),
        toBytesField(2, writeStructValue(item, `${path}.${key}`)),
      ]),
    ),
  );
  return Buffer.concat(entries);
}

function writeStructValue(value: unknown, path: string): Buffer {
  if (value === null) return toField(1, 0, toVarint(0));
  if (typeof value === 'number') return toField(2, 1, toDouble(value));
  if (typeof value === 'string') return toBytesField(3, Buffer.from(value, 'utf8'));
  if (typeof value === 'boolean') return toField(4, 0, toVarint(value ? 1 : 0));
  if (!Array.isArray(value)) return toBytesField(5, writeStruct(value, path));
  const items = value.map((item, i) => toBytesField(1, writeStructValue(item, `${path}[${i}]`)));
  return toBytesField(6, Buffer.concat(items));
}
