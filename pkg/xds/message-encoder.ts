import { toBytesField, toVarint } from './wire.ts';

/** A node of build/protos.json: a namespace, a message or an enum, as protobufjs writes them. */
export interface DescriptorNode {
  readonly nested?: Readonly<Record<string, DescriptorNode>>;
  readonly fields?: Readonly<Record<string, FieldNode>>;
  readonly values?: Readonly<Record<string, number>>;
}

interface FieldNode {
  readonly type: string;
  readonly id: number;
  readonly rule?: string;
  readonly keyType?: string;
}

export interface MessageEncoder {
  /**
   * The bytes of a message given in the JSON form of proto3, with the field names of the .proto files, as Envoy's own
   * YAML has it; an `@type` at the top must be the type's own. Throws on a field that does not exist or a value that does not fit, and names it: protobuf libraries
   * drop a misspelt field without a word, and with it what it was to protect.
   */
  encode(typeName: string, message: object): Buffer;
}

type WriteValue = (value: unknown, path: string) => Buffer;

/** Writes one element: tag included, so that a list of them is a repeated field. */
interface FieldWriter {
  readonly id: number;
  readonly kind: 'single' | 'repeated' | 'map';
  /** Repeated numbers are written as one packed field. */
  readonly packed: boolean;
  readonly wireType: number;
  readonly write: WriteValue;
  readonly writeKey: WriteValue | undefined;
  readonly keyWireType: number;
}

interface Scope {
  readonly name: string;
  readonly node: DescriptorNode;
}

const lengthDelimited = 2;

/** Compiles what is asked for from a descriptor, when it is asked for. */
export function createMessageEncoder(descriptor: DescriptorNode): MessageEncoder {
  const types = new Map<string, WriteValue>();
  /** Parts of messages that are used again and again, such as the configuration of a filter. */
  const encodedAnys = new WeakMap<object, Buffer>();

  function find(name: string): Scope | undefined {
    let node: DescriptorNode | undefined = descriptor;
    for (const part of name.split('.')) node = node?.nested?.[part];
    return node && { name, node };
  }

  /** Looks a name up from the inside out, as .proto files do. */
  function resolve(name: string, from: string): Scope {
    for (let scope = from; ; scope = scope.slice(0, Math.max(0, scope.lastIndexOf('.')))) {
      const found = find(scope === '' ? name : `${scope}.${name}`);
      if (found?.node.fields || found?.node.values) return found;
      if (scope === '') throw new Error(`the descriptor lacks ${name}, used by ${from}`);
    }
  }

  function writerOf(typeName: string): WriteValue {
    const known = types.get(typeName) ?? wellKnown(typeName) ?? compile(typeName);
    types.set(typeName, known);
    return known;
  }

  function wellKnown(typeName: string): WriteValue | undefined {
    switch (typeName) {
      case 'google.protobuf.Any':
        return writeAny;
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

  function compile(typeName: string): WriteValue {
    const scope = find(typeName);
    if (!scope?.node.fields) throw new Error(`the descriptor has no message ${typeName}`);
    const { fields } = scope.node;
    const writers = new Map<string, FieldWriter>();
    return (value, path) => {
      const parts: { readonly id: number; readonly bytes: Buffer }[] = [];
      for (const [name, content] of Object.entries(expectObject(value, path))) {
        if (content === undefined || content === null) continue;
        const field = fields[name];
        if (!field) throw new Error(`${path}: ${typeName} has no field "${name}"`);
        const writer = writers.get(name) ?? toWriter(field, typeName);
        writers.set(name, writer);
        parts.push({ id: writer.id, bytes: writeField(writer, content, `${path}.${name}`) });
      }
      parts.sort((a, b) => a.id - b.id);
      return Buffer.concat(parts.map(({ bytes }) => bytes));
    };
  }

  function toWriter(field: FieldNode, owner: string): FieldWriter {
    const { write, wireType } = valueWriter(field.type, owner);
    const key = field.keyType === undefined ? undefined : scalarOf(field.keyType);
    return {
      id: field.id,
      kind: key ? 'map' : field.rule === 'repeated' ? 'repeated' : 'single',
      packed: field.rule === 'repeated' && wireType !== lengthDelimited,
      wireType,
      write,
      writeKey: key?.write,
      keyWireType: key?.wireType ?? 0,
    };
  }

  function valueWriter(type: string, owner: string): { write: WriteValue; wireType: number } {
    if (type in scalars) return scalarOf(type);
    const { name, node } = resolve(type, owner);
    if (node.values) return { write: enumWriter(name, node.values), wireType: 0 };
    // Looked up when first written: messages refer to each other in circles.
    return { write: (value, path) => writerOf(name)(value, path), wireType: lengthDelimited };
  }

  function writeAny(value: unknown, path: string): Buffer {
    const message = expectObject(value, path);
    const known = encodedAnys.get(message);
    if (known) return known;
    const { '@type': url, ...fields } = message;
    const typeUrl = expectString(url, `${path}.@type`);
    const typeName = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
    const inner = wellKnown(typeName) ? fields['value'] : fields;
    const content = writerOf(typeName)(inner, path);
    const head = toBytesField(1, Buffer.from(typeUrl, 'utf8'));
    const bytes = content.length > 0 ? Buffer.concat([head, toBytesField(2, content)]) : head;
    encodedAnys.set(message, bytes);
    return bytes;
  }

  return {
    encode(typeName, message) {
      const { '@type': url, ...fields } = message as { readonly '@type'?: unknown };
      if (url !== undefined && url !== `type.googleapis.com/${typeName}`) throw misfit(typeName, typeName, url);
      return writerOf(typeName)(fields, typeName);
    },
  };
}

function writeField(writer: FieldWriter, content: unknown, path: string): Buffer {
  const { id, kind, packed, wireType, write, writeKey, keyWireType } = writer;
  if (kind === 'single') return toField(id, wireType, write(content, path));
  if (kind === 'map') {
    const entries = Object.entries(expectObject(content, path)).map(([key, value]) => {
      const at = `${path}[${key}]`;
      const keyBytes = toField(1, keyWireType, writeKey?.(key, at) ?? Buffer.alloc(0));
      return toBytesField(id, Buffer.concat([keyBytes, toField(2, wireType, write(value, at))]));
    });
    return Buffer.concat(entries);
  }
  const items = expectList(content, path).map((item, i) => write(item, `${path}[${i}]`));
  if (packed) return items.length > 0 ? toBytesField(id, Buffer.concat(items)) : Buffer.alloc(0);
  return Buffer.concat(items.map((item) => toField(id, wireType, item)));
}

function toField(id: number, wireType: number, bytes: Buffer): Buffer {
  return wireType === lengthDelimited ? toBytesField(id, bytes) : Buffer.concat([toVarint(id * 8 + wireType), bytes]);
}

interface Scalar {
  readonly wireType: number;
  readonly write: WriteValue;
}

function scalarOf(type: string): Scalar {
  const scalar = scalars[type];
  if (!scalar) throw new Error(`can't happen: ${type} is not a scalar type`);
  return scalar;
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

const wrappers: Readonly<Record<string, string>> = Object.fromEntries(
  ['Bool', 'String', 'Bytes', 'Int32', 'UInt32', 'Int64', 'UInt64', 'Float', 'Double'].map((name) => [
    `google.protobuf.${name}Value`,
    name.toLowerCase(),
  ]),
);

function enumWriter(name: string, values: Readonly<Record<string, number>>): WriteValue {
  return (value, path) => {
    const number = typeof value === 'string' ? values[value] : Object.values(values).find((known) => known === value);
    if (number === undefined) throw misfit(path, `one of ${name}`, value);
    return toBigVarint(BigInt.asUintN(64, BigInt(number)));
  };
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

function toBigVarint(value: bigint): Buffer {
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

function toDouble(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

function expectObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw misfit(path, 'an object', value);
  return value as Record<string, unknown>;
}

function expectList(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw misfit(path, 'a list', value);
  return value;
}

function expectString(value: unknown, path: string): string {
  if (typeof value !== 'string') throw misfit(path, 'text', value);
  return value;
}

function expectNumber(value: unknown, path: string): number {
  if (typeof value !== 'number') throw misfit(path, 'a number', value);
  return value;
}

/** Integers of 64 bits may come as text, as JSON can't hold them. */
function expectInteger(value: unknown, min: bigint, max: bigint, path: string): bigint {
  const isInteger = typeof value === 'string' ? /^-?\d{1,20}$/.test(value) : Number.isSafeInteger(value);
  if (!isInteger) throw misfit(path, 'an integer', value);
  const number = BigInt(value as string | number);
  if (number < min || number > max) throw misfit(path, `an integer from ${min} to ${max}`, value);
  return number;
}

function misfit(path: string, expected: string, value: unknown): Error {
  return new Error(`${path}: ${expected} expected, not ${JSON.stringify(value)?.slice(0, 80)}`);
}
