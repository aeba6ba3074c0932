import { toVersions } from './known-versions.ts';
import { decodeNode, encodeNode, type NodeInfo } from './node-info.ts';
import { toBytesField, toStringField, toVarintField, WireReader } from './wire.ts';

/** envoy.service.discovery.v3, the messages of ADS, and what they need of google.protobuf and google.rpc. */

export interface RpcStatus {
  readonly code: number;
  readonly message: string;
}

export interface DeltaRequest {
  readonly node?: NodeInfo;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: ReadonlyMap<string, string>;
  readonly nonce: string;
  readonly error?: RpcStatus;
}

export interface SotwRequest {
  readonly node?: NodeInfo;
  readonly typeUrl: string;
  readonly version: string;
  readonly names: readonly string[];
  readonly nonce: string;
  readonly error?: RpcStatus;
}

export interface AnyValue {
  readonly typeUrl: string;
  readonly value: Buffer;
}

export interface DeltaResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly { readonly name: string; readonly version: string; readonly any: Buffer }[];
  readonly removed: readonly string[];
}

export interface SotwResponse {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly Buffer[];
}

const adsService = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
export const adsPaths = {
  delta: `${adsService}/DeltaAggregatedResources`,
  sotw: `${adsService}/StreamAggregatedResources`,
} as const;

/** What one request may name: names and versions, and the bytes of them. */
export interface NameLimits {
  readonly names: number;
  readonly nameBytes: number;
}

export class TooManyNames extends Error {
  override readonly name = 'TooManyNames';
}

/** Counts names as they are come upon: a request is not read to its end that has too many. */
function createNameCount({ names, nameBytes }: NameLimits): (bytes: number) => void {
  let count = 0;
  let size = 0;
  return (bytes) => {
    count += 1;
    size += bytes;
    if (count > names || size > nameBytes) throw new TooManyNames('too many resource names');
  };
}

const unlimited: NameLimits = { names: Number.POSITIVE_INFINITY, nameBytes: Number.POSITIVE_INFINITY };

export function decodeDeltaRequest(bytes: Buffer, limits: NameLimits = unlimited): DeltaRequest {
  const reader = new WireReader(bytes);
  const count = createNameCount(limits);
  let node: NodeInfo | undefined;
  let error: RpcStatus | undefined;
  let typeUrl = '';
  let nonce = '';
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  /** Where the entries of initialVersions are: they stand one after the other, as everybody writes them. */
  const runs: { start: number; end: number }[] = [];
  let from = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) node = decodeNode(reader.bytes());
    else if (field === 2) typeUrl = reader.string();
    else if (field === 3 || field === 4) {
      const name = reader.bytes();
      count(name.length);
      (field === 3 ? subscribe : unsubscribe).push(name.toString('utf8'));
    } else if (field === 5) {
      count(reader.bytes().length);
      const last = runs.at(-1);
      if (last?.end === from) last.end = reader.position;
      else runs.push({ start: from, end: reader.position });
    } else if (field === 6) nonce = reader.string();
    else if (field === 7) error = decodeStatus(reader.bytes());
    else reader.skip();
    from = reader.position;
  }
  const initialVersions = toVersions(runs.map(({ start, end }) => bytes.subarray(start, end)));
  return { ...optional({ node, error }), typeUrl, subscribe, unsubscribe, initialVersions, nonce };
}

export function decodeSotwRequest(bytes: Buffer, limits: NameLimits = unlimited): SotwRequest {
  const reader = new WireReader(bytes);
  const count = createNameCount(limits);
  let node: NodeInfo | undefined;
  let error: RpcStatus | undefined;
  let version = '';
  let typeUrl = '';
  let nonce = '';
  const names: string[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) version = reader.string();
    else if (field === 2) node = decodeNode(reader.bytes());
    else if (field === 3) {
      const name = reader.bytes();
      count(name.length);
      names.push(name.toString('utf8'));
    } else if (field === 4) typeUrl = reader.string();
    else if (field === 5) nonce = reader.string();
    else if (field === 6) error = decodeStatus(reader.bytes());
    else reader.skip();
  }
  return { ...optional({ node, error }), typeUrl, version, names, nonce };
}

export function encodeDeltaRequest(request: DeltaRequest): Buffer {
  const parts = [
    request.node ? toBytesField(1, encodeNode(request.node)) : Buffer.alloc(0),
    toStringField(2, request.typeUrl),
    ...request.subscribe.map((name) => toStringField(3, name)),
    ...request.unsubscribe.map((name) => toStringField(4, name)),
    ...[...request.initialVersions].map(([name, version]) =>
      toBytesField(5, Buffer.concat([toStringField(1, name), toStringField(2, version)])),
    ),
    toStringField(6, request.nonce),
    request.error ? toBytesField(7, encodeStatus(request.error)) : Buffer.alloc(0),
  ];
  return Buffer.concat(parts);
}

export function encodeSotwRequest(request: SotwRequest): Buffer {
  return Buffer.concat([
    toStringField(1, request.version),
    request.node ? toBytesField(2, encodeNode(request.node)) : Buffer.alloc(0),
    ...request.names.map((name) => toStringField(3, name)),
    toStringField(4, request.typeUrl),
    toStringField(5, request.nonce),
    request.error ? toBytesField(6, encodeStatus(request.error)) : Buffer.alloc(0),
  ]);
}

export function decodeDeltaResponse(bytes: Buffer): DeltaResponse {
  const reader = new WireReader(bytes);
  let typeUrl = '';
  let nonce = '';
  const resources: { name: string; version: string; any: Buffer }[] = [];
  const removed: string[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 2) resources.push(decodeResource(reader.bytes()));
    else if (field === 4) typeUrl = reader.string();
    else if (field === 5) nonce = reader.string();
    else if (field === 6) removed.push(reader.string());
    else reader.skip();
  }
  return { typeUrl, nonce, resources, removed };
}

export function decodeSotwResponse(bytes: Buffer): SotwResponse {
  const reader = new WireReader(bytes);
  let typeUrl = '';
  let version = '';
  let nonce = '';
  const resources: Buffer[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) version = reader.string();
    else if (field === 2) resources.push(reader.bytes());
    else if (field === 4) typeUrl = reader.string();
    else if (field === 5) nonce = reader.string();
    else reader.skip();
  }
  return { typeUrl, version, nonce, resources };
}

export function decodeAny(bytes: Buffer): AnyValue {
  const reader = new WireReader(bytes);
  let typeUrl = '';
  let value: Buffer = Buffer.alloc(0);
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) typeUrl = reader.string();
    else if (field === 2) value = reader.bytes();
    else reader.skip();
  }
  return { typeUrl, value };
}

function decodeResource(bytes: Buffer): { name: string; version: string; any: Buffer } {
  const reader = new WireReader(bytes);
  let name = '';
  let version = '';
  let any: Buffer = Buffer.alloc(0);
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) version = reader.string();
    else if (field === 2) any = reader.bytes();
    else if (field === 3) name = reader.string();
    else reader.skip();
  }
  return { name, version, any };
}

/** Bytes of what a client says is wrong; it is kept and logged. */
const longestComplaint = 8192;

function decodeStatus(bytes: Buffer): RpcStatus {
  const reader = new WireReader(bytes);
  let code = 0;
  let message = '';
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) code = reader.varint();
    // Cut before it is text: a part of a text holds the whole of it in memory.
    else if (field === 2) message = reader.bytes().subarray(0, longestComplaint).toString('utf8');
    else reader.skip();
  }
  return { code, message };
}

function encodeStatus({ code, message }: RpcStatus): Buffer {
  return Buffer.concat([toVarintField(1, code), toStringField(2, message)]);
}

function optional<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
