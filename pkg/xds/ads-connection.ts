import { type ServerDuplexStream, status as grpcStatus } from '@grpc/grpc-js';
import type { Logger } from '../observability/logger.ts';
import type { Counter, Gauge, Histogram } from '../observability/metrics.ts';
import type { AdsServerLimits, Authenticate, Authentication } from './ads-server.ts';
import { type AdsProtocol, type AdsTypeStatus, createAdsStream } from './ads-stream.ts';
import { decodeDeltaRequest, decodeSotwRequest } from './discovery.ts';
import type { FlushBudget } from './flush-budget.ts';
import type { NodeInfo } from './node-info.ts';
import type { ResponseEncoder } from './response-encoder.ts';
import type { ResourceSource, XdsClient } from './resources.ts';

export interface StreamMetrics {
  readonly streams: Gauge;
  readonly refused: Counter;
  readonly requests: Counter;
  readonly responses: Counter;
  readonly resources: Counter;
  readonly bytes: Counter;
  readonly ackSeconds: Histogram;
}

export interface ConnectionOptions {
  readonly call: ServerDuplexStream<Buffer, Buffer>;
  readonly protocol: AdsProtocol;
  readonly source: ResourceSource;
  readonly encoder: ResponseEncoder;
  readonly limits: AdsServerLimits;
  readonly metrics: StreamMetrics;
  readonly log: Logger;
  readonly now: () => number;
  readonly budget: FlushBudget;
  readonly authenticate: Authenticate;
  /** The token alone says who it is: nothing is read of a stream before that is known. */
  readonly byTokenAlone: boolean;
  /** False: there are too many streams of this client. Counts the stream until `onClose`. */
  readonly admit: (client: XdsClient) => boolean;
  readonly onStatus: () => void;
  readonly onClose: () => void;
}

/** One stream: drives an AdsStream over a gRPC call. */
export interface AdsConnection {
  /** Undefined until it is authenticated. */
  readonly client: XdsClient | undefined;
  readonly protocol: AdsProtocol;
  readonly connectedSince: number;
  types(): readonly AdsTypeStatus[];
  /** Writes what is due, if the client takes it. */
  pump(): void;
  end(code: grpcStatus, reason: string): void;
}

/** A stream outlives its token by this: the renewed one comes with the next stream. */
const tokenGrace = 5 * 60_000;
const maxDelay = 2 ** 31 - 1;

export function openConnection(options: ConnectionOptions): AdsConnection {
  const { call, protocol, source, encoder, limits, metrics, log, now, budget, admit, onStatus, onClose } = options;
  const connectedSince = now();
  const allowance = createAllowance(limits, now);
  let client: XdsClient | undefined;
  let writing = false;
  let ended = false;
  /** Everything of this state has been sent and nothing was asked since. */
  let settled: object | undefined;

  const stream = createAdsStream({
    protocol,
    view: (typeUrl) => (client ? source.view(client, typeUrl) : undefined),
    encoder,
    now,
    limits,
  });

  let firstRequest: NodeJS.Timeout | undefined;
  let expiry: NodeJS.Timeout | undefined;

  function end(code: grpcStatus, details: string): void {
    if (ended) return;
    close();
    call.emit('error', { code, details });
    // Reads on to the end, so that the call can finish, and heeds nothing of it.
    call.resume();
  }

  function close(): void {
    if (ended) return;
    ended = true;
    clearTimeout(firstRequest);
    clearTimeout(expiry);
    onClose();
  }

  function pump(): void {
    try {
      writeNext();
    } catch (error) {
      fail(error);
    }
  }

  function writeNext(): void {
    if (writing || ended || !client) return;
    const state = source.stateOf?.(client);
    if ((state !== undefined && state === settled) || !budget.admit(pump)) return;
    const body = stream.next();
    settled = body ? undefined : state;
    if (!body) return;
    const { typeUrl: type } = body;
    metrics.responses.inc({ type });
    metrics.resources.inc({ type }, body.changed + body.removed);
    metrics.bytes.inc({ type }, body.bytes.length);
    writing = true;
    // The next one is composed when this one has left: meanwhile nothing is queued, and changes only add to it.
    const left = budget.spend(body.bytes.length);
    call.write(body.bytes, () => {
      left();
      writing = false;
      pump();
    });
  }

  function receive(message: Buffer): void {
    settled = undefined;
    const event = stream.receive(message);
    switch (event.kind) {
      case 'refused':
        metrics.refused.inc({ reason: 'limit' });
        log.warn('ADS stream refused', { ...who(), reason: event.reason });
        end(grpcStatus.RESOURCE_EXHAUSTED, event.reason);
        return;
      case 'nack':
        metrics.requests.inc({ type: event.typeUrl, kind: 'nack' });
        log.error('proxy refused configuration', {
          ...who(),
          type: event.typeUrl,
          reason: event.message,
          resources: event.names,
        });
        onStatus();
        break;
      case 'ack':
        metrics.requests.inc({ type: event.typeUrl, kind: 'ack' });
        metrics.ackSeconds.observe(event.milliseconds / 1000, { type: event.typeUrl });
        onStatus();
        break;
      case 'subscribed':
      case 'stale':
        metrics.requests.inc({ type: '', kind: event.kind });
        break;
    }
    pump();
  }

  const who = (): { client?: string; pod?: string; node?: string } => ({
    ...(client ? { client: client.identity, node: client.nodeId } : {}),
    ...(client?.pod === undefined ? {} : { pod: client.pod }),
  });

  /** Undefined: the stream was ended, for nobody knows whose it is. */
  async function authenticate(node: NodeInfo): Promise<(Authentication & { readonly ok: true }) | undefined> {
    const peer = call.getPeer();
    const answer = await options.authenticate({ token: tokenOf(call), peer, node });
    if (ended) return undefined;
    if (answer.ok) return answer;
    metrics.refused.inc({ reason: 'unauthenticated' });
    log.warn('ADS client refused', { reason: answer.reason, peer, ...(node.id === '' ? {} : { node: clip(node.id) }) });
    end(grpcStatus.UNAUTHENTICATED, answer.reason);
    return undefined;
  }

  /** The first message says what the node is, and waits for the client to be authenticated. */
  async function begin(message: Buffer, known: (Authentication & { readonly ok: true }) | undefined): Promise<void> {
    const node = decodeNodeOf(message, protocol);
    const answer = known ?? (await authenticate(node));
    if (!answer) return;
    const metadata = bounded(node.metadata);
    const admitted = { ...answer.client, nodeId: clip(node.id), userAgent: clip(node.userAgent), metadata };
    if (!admit(admitted)) {
      metrics.refused.inc({ reason: 'streams' });
      end(grpcStatus.RESOURCE_EXHAUSTED, 'too many streams of one client');
      return;
    }
    client = admitted;
    if (answer.expiresAt !== undefined) {
      const left = answer.expiresAt + tokenGrace - now();
      expiry = setTimeout(() => end(grpcStatus.UNAUTHENTICATED, 'the token expired'), Math.min(left, maxDelay));
    }
    log.info('proxy connected', { ...who(), protocol, userAgent: client.userAgent });
    receive(message);
    onStatus();
    if (!ended) call.resume();
  }

  function take(message: Buffer, known: (Authentication & { readonly ok: true }) | undefined): void {
    if (ended) return;
    if (!allowance()) {
      metrics.refused.inc({ reason: 'flood' });
      log.warn('ADS client floods', who());
      end(grpcStatus.RESOURCE_EXHAUSTED, 'too many requests');
      return;
    }
    try {
      if (client) {
        receive(message);
        return;
      }
      clearTimeout(firstRequest);
      call.pause();
      begin(message, known).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Messages may be large: those of strangers stay where they are, and fill nothing but the window of their stream. */
  async function read(): Promise<void> {
    const known = options.byTokenAlone ? await authenticate(nobody) : undefined;
    if (ended) return;
    firstRequest = setTimeout(() => {
      metrics.refused.inc({ reason: 'silent' });
      end(grpcStatus.DEADLINE_EXCEEDED, 'no request arrived');
    }, limits.firstRequest);
    call.on('data', (message: Buffer) => take(message, known));
  }

  function fail(error: unknown): void {
    metrics.refused.inc({ reason: 'malformed' });
    log.warn('ADS stream failed', { ...who(), error });
    end(grpcStatus.INVALID_ARGUMENT, error instanceof Error ? error.message : 'malformed request');
  }

  call.on('end', () => {
    close();
    call.end();
  });
  call.on('cancelled', close);
  call.on('close', close);
  call.on('error', close);
  read().catch(fail);

  return {
    get client() {
      return client;
    },
    protocol,
    connectedSince,
    types: () => stream.status(),
    pump,
    end,
  };
}

function tokenOf(call: ServerDuplexStream<Buffer, Buffer>): string | undefined {
  const [value] = call.metadata.get('authorization');
  return typeof value === 'string' && value.startsWith('Bearer ') ? value.slice('Bearer '.length) : undefined;
}

function decodeNodeOf(message: Buffer, protocol: AdsProtocol): NodeInfo {
  const { node } = protocol === 'delta' ? decodeDeltaRequest(message) : decodeSotwRequest(message);
  return node ?? nobody;
}

const nobody: NodeInfo = { id: '', cluster: '', userAgent: '', metadata: {} };

/** What a client says of itself goes to logs and pages: cut to a length, control characters out. */
function clip(text: string): string {
  return text.slice(0, 256).replaceAll(/[^\x20-\x7e]/g, '?');
}

/** The first entries of what a client says of itself: it stays in memory as long as the stream. */
function bounded(metadata: NodeInfo['metadata']): NodeInfo['metadata'] {
  let left = longestMetadata;
  return Object.fromEntries(
    Object.entries(metadata).filter(([key, value]) => {
      left -= key.length + value.length;
      return left >= 0;
    }),
  );
}

const longestMetadata = 64 * 1024;

/** A token bucket: true as long as the client keeps to its rate. */
function createAllowance({ requestBurst, requestsPerSecond }: AdsServerLimits, now: () => number): () => boolean {
  let left = requestBurst;
  let last = now();
  return () => {
    const at = now();
    left = Math.min(requestBurst, left + ((at - last) / 1000) * requestsPerSecond);
    last = at;
    left -= 1;
    return left >= 0;
  };
}
