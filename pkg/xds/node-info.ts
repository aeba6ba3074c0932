import { toBytesField, toStringField, WireReader } from './wire.ts';

/** What is read of envoy.config.core.v3.Node: who a client says that it is. */
export interface NodeInfo {
  readonly id: string;
  readonly cluster: string;
  readonly userAgent: string;
  /** The entries of `node.metadata` whose values are strings. */
  readonly metadata: Readonly<Record<string, string>>;
}

export function decodeNode(bytes: Buffer): NodeInfo {
  const reader = new WireReader(bytes);
  let id = '';
  let cluster = '';
  let agent = '';
  let version = '';
  const metadata: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) id = reader.string();
    else if (field === 2) cluster = reader.string();
    else if (field === 3) decodeStruct(reader.bytes(), metadata);
    else if (field === 6) agent = reader.string();
    else if (field === 7) version = reader.string();
    else if (field === 8) version = decodeBuildVersion(reader.bytes());
    else reader.skip();
  }
  return { id, cluster, userAgent: version === '' ? agent : `${agent}/${version}`, metadata };
}

export function encodeNode({ id, cluster, userAgent, metadata }: NodeInfo): Buffer {
  const [agent = '', version = ''] = userAgent.split('/', 2);
  const entries = Object.entries(metadata).map(([key, value]) =>
    toBytesField(
      1,
      Buffer.concat([toStringField(1, key), toBytesField(2, toBytesField(3, Buffer.from(value, 'utf8')))]),
    ),
  );
  return Buffer.concat([
    toStringField(1, id),
    toStringField(2, cluster),
    entries.length > 0 ? toBytesField(3, Buffer.concat(entries)) : Buffer.alloc(0),
    toStringField(6, agent),
    toStringField(7, version),
  ]);
}

/** google.protobuf.Struct, its string values only. */
function decodeStruct(bytes: Buffer, into: Record<string, string>): void {
  const reader = new WireReader(bytes);
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== 1) {
      reader.skip();
      continue;
    }
    const entry = new WireReader(reader.bytes());
    let key = '';
    let value: string | undefined;
    for (let part = entry.next(); part !== 0; part = entry.next()) {
      if (part === 1) key = entry.string();
      else if (part === 2) value = decodeStringValue(entry.bytes());
      else entry.skip();
    }
    if (value !== undefined) into[key] = value;
  }
}

function decodeStringValue(bytes: Buffer): string | undefined {
  const reader = new WireReader(bytes);
  let value: string | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 3) value = reader.string();
    else reader.skip();
  }
  return value;
}

/** envoy.config.core.v3.BuildVersion: the semantic version in it. */
function decodeBuildVersion(bytes: Buffer): string {
  const reader = new WireReader(bytes);
  const numbers = [0, 0, 0];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== 1) {
      reader.skip();
      continue;
    }
    const version = new WireReader(reader.bytes());
    for (let part = version.next(); part !== 0; part = version.next()) {
      if (part <= 3) numbers[part - 1] = version.varint();
      else version.skip();
    }
  }
  return numbers.join('.');
}
