import { createSecureContext } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type ClientDuplexStream, credentials, type ChannelCredentials, Metadata } from '@grpc/grpc-js';
import { adsPaths, decodeAny, decodeDeltaResponse, type DeltaRequest, encodeDeltaRequest } from './discovery.ts';

/** One resource as it arrived. */
export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  /** The value of its Any: UTF-8 JSON for the own types, protobuf for Secrets (`decodeSecret`). */
  readonly value: Buffer;
}

export interface AdsUpdate {
  readonly changed: readonly ReceivedResource[];
  readonly removed: readonly string[];
}

export type AdsClientState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly reason: string };

export interface AdsClientOptions {
  /** A target of gRPC: `unix:/run/x/xds.sock`, `127.0.0.1:15010`. */
  readonly address: string;
  /** Roots that the server's certificate must chain to, PEM; asked for at each connect. Absent: plaintext. */
  readonly ca?: () => Buffer | Promise<Buffer>;
  /** What the server's certificate must say. */
  readonly serverName?: string;
  /** The bearer token; asked for at each connect, so that a renewed one is used. */
  readonly token?: () => string | Promise<string>;
  readonly node: {
    readonly id: string;
    readonly userAgent: string;
    readonly metadata?: Readonly<Record<string, string>>;
  };
  /** Subscribed to in this order; without names: everything of the type. */
  readonly types: readonly { readonly typeUrl: string; readonly names?: readonly string[] }[];
  /**
   * Called for each response, in the order of the stream. An error refuses the whole response: nothing of it counts as
   * known, and the server is told why (NACK). The first call for a type may be empty: then nothing differs from what
   * was known when the stream opened.
   */
  readonly onUpdate: (typeUrl: string, update: AdsUpdate) => void;
  readonly onState?: (state: AdsClientState) => void;
  readonly signal: AbortSignal;
  readonly random?: () => number;
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export interface AdsClient {
  /** Settles once the signal is aborted and the connection is closed. Never rejects. */
  readonly done: Promise<void>;
}

const firstBackoff = 100;
const longestBackoff = 3_000;
const identity = (bytes: Buffer): Buffer => bytes;

/**
 * Subscribes over delta ADS and stays subscribed until the signal is aborted: it reconnects with jittered exponential
 * backoff and tells the server the versions that it has, so that only what changed meanwhile is sent again. While
 * disconnected nothing is called: what was received stays in force.
 */
export function createAdsClient(options: AdsClientOptions): AdsClient {
  const known = new Map(options.types.map(({ typeUrl }) => [typeUrl, new Map<string, string>()]));
  return { done: run(options, known) };
}

type KnownVersions = ReadonlyMap<string, Map<string, string>>;

async function run(options: AdsClientOptions, known: KnownVersions): Promise<void> {
  const { signal, onState, random = Math.random, sleep = sleepFor } = options;
  let backoff = firstBackoff;
  while (!signal.aborted) {
    onState?.({ kind: 'connecting' });
    const { reason, answered } = await runStream(options, known).catch((error: unknown) => ({
      reason: toText(error),
      answered: false,
    }));
    if (signal.aborted) break;
    onState?.({ kind: 'disconnected', reason });
    if (answered) backoff = firstBackoff;
    await sleep(backoff * (0.5 + random() / 2), signal);
    backoff = Math.min(backoff * 2, longestBackoff);
  }
}

/** Opens one stream and serves it to its end. */
async function runStream(
  options: AdsClientOptions,
  known: KnownVersions,
): Promise<{ reason: string; answered: boolean }> {
  const { address, token, signal, types, node, serverName = 'controller.tulle' } = options;
  const metadata = new Metadata();
  if (token) metadata.set('authorization', `Bearer ${(await token()).trim()}`);
  const client = new Client(address, await toCredentials(options), {
    'grpc.max_receive_message_length': 256 * 1024 * 1024,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_retries': 0,
    ...(options.ca ? { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName } : {}),
  });
  if (signal.aborted) {
    client.close();
    return { reason: 'aborted', answered: false };
  }
  const stream = client.makeBidiStreamRequest(adsPaths.delta, identity, identity, metadata);
  const cancel = (): void => stream.cancel();
  signal.addEventListener('abort', cancel);
  try {
    types.forEach(({ typeUrl, names = [] }, index) => {
      const request = { ...emptyRequest, typeUrl, subscribe: names, initialVersions: known.get(typeUrl) ?? new Map() };
      const info = { id: node.id, cluster: '', userAgent: node.userAgent, metadata: node.metadata ?? {} };
      stream.write(encodeDeltaRequest(index === 0 ? { ...request, node: info } : request));
    });
    return await serve(stream, options, known);
  } finally {
    signal.removeEventListener('abort', cancel);
    client.close();
  }
}

function serve(
  stream: ClientDuplexStream<Buffer, Buffer>,
  { onUpdate, onState }: AdsClientOptions,
  known: KnownVersions,
): Promise<{ reason: string; answered: boolean }> {
  return new Promise((resolve) => {
    let answered = false;
    let reason = 'the server ended the stream';
    stream.on('data', (bytes: Buffer) => {
      if (!answered) onState?.({ kind: 'connected' });
      answered = true;
      try {
        const answer = receive(bytes, known, onUpdate);
        if (answer) stream.write(encodeDeltaRequest(answer));
      } catch (error) {
        reason = toText(error);
        stream.cancel();
      }
    });
    stream.on('error', (error) => {
      reason = error.message;
    });
    stream.on('end', () => stream.end());
    stream.on('close', () => resolve({ reason, answered }));
    stream.on('status', () => resolve({ reason, answered }));
  });
}

/** Hands one response over; the answer is its ACK or NACK. */
function receive(
  bytes: Buffer,
  known: KnownVersions,
  onUpdate: AdsClientOptions['onUpdate'],
): DeltaRequest | undefined {
  const { typeUrl, nonce, resources, removed } = decodeDeltaResponse(bytes);
  const versions = known.get(typeUrl);
  if (!versions) return undefined;
  try {
    const changed = resources.map(({ name, version, any }) => {
      const { typeUrl: actual, value } = decodeAny(any);
      if (actual !== typeUrl) throw new Error(`resource ${name} is of type ${actual}`);
      return { name, version, value };
    });
    onUpdate(typeUrl, { changed, removed });
  } catch (error) {
    return { ...emptyRequest, typeUrl, nonce, error: { code: 3, message: toText(error) } };
  }
  for (const { name, version } of resources) versions.set(name, version);
  for (const name of removed) versions.delete(name);
  return { ...emptyRequest, typeUrl, nonce };
}

async function toCredentials({ ca }: AdsClientOptions): Promise<ChannelCredentials> {
  if (!ca) return credentials.createInsecure();
  return credentials.createFromSecureContext(createSecureContext({ ca: await ca(), minVersion: 'TLSv1.3' }));
}

async function sleepFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
}

const emptyRequest = { subscribe: [], unsubscribe: [], initialVersions: new Map<string, string>(), nonce: '' } as const;

function toText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
