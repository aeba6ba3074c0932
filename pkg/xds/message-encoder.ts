import { expectList, expectObject, expectString, misfit } from './expect-value.ts';
import { enumWriter, isScalar, lengthDelimited, scalarOf, toField, type WriteValue } from './scalar-writers.ts';
import { findWellKnownWriter } from './well-known-writers.ts';
import { toBytesField } from './wire.ts';

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
   * YAML has it; an `@type` at the top must be the type's own. Throws on a field that does not exist or a value that
   * does not fit, and names it: protobuf libraries drop a misspelt field without a word, and with it what it was to
   * protect.
   */
  encode(typeName: string, message: object): Buffer;
}

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
    return typeName === 'google.protobuf.Any' ? writeAny : findWellKnownWriter(typeName);
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
    if (isScalar(type)) return scalarOf(type);
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
