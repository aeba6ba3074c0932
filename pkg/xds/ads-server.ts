import { createServer, type Server as NetServer } from 'node:net';
import {
  type handleBidiStreamingCall,
  Server,
  type ServerCredentials,
  type ServerDuplexStream,
  status as grpcStatus,
} from '@grpc/grpc-js';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type AdsConnection, openConnection } from './ads-connection.ts';
import type { AdsProtocol, AdsTypeStatus } from './ads-stream.ts';
import { toPeerAddress } from './call-peer.ts';
import { createConnectionGate } from './connection-gate.ts';
import { adsPaths } from './discovery.ts';
import { createFlushBudget } from './flush-budget.ts';
import { toListenOptions, toPort } from './listen-address.ts';
import type { NodeInfo } from './node-info.ts';
import { createPendingStreams } from './pending-streams.ts';
import { createRefusalLog } from './refusal-log.ts';
import { createAllowance } from './request-allowance.ts';
import { createResponseEncoder } from './response-encoder.ts';
import type { ResourceSource, XdsClient } from './resources.ts';
import { type AdsServerLimits, defaultServerLimits } from './server-limits.ts';
import { createStreamIndex } from './stream-index.ts';
import { declareStreamMetrics } from './stream-metrics.ts';

export interface AuthenticationRequest {
  /** What stands behind `Bearer ` in the `authorization` metadata; undefined when nothing does. */
  readonly token: string | undefined;
  readonly peer: string;
  /** What the client says of itself, empty where tokens alone count. Not to be believed, but for clients that need no token. */
  readonly node: NodeInfo;
  /**
   * To be called before waiting for what the rest depends on, once it is proven whose the token is: from then on the
   * stream counts as one of this client. False: it has too many, and nobody waits for the answer.
   */
  readonly onNamed?: (client: ClientName) => boolean;
}

export type ClientName = Pick<XdsClient, 'identity' | 'pod'>;

export type Authentication =
  | {
      readonly ok: true;
      readonly client: ClientName;
      /** When the token expires, in milliseconds of `now`; the stream ends 5 minutes later (DECISIONS I4). */
      readonly expiresAt?: number;
    }
  | { readonly ok: false; readonly reason: string };

export type Authenticate = (request: AuthenticationRequest) => Promise<Authentication>;

export interface AdsServerOptions {
  readonly source: ResourceSource;
  readonly authenticate: Authenticate;
  /** `authenticate` needs no `node`: it is asked when a stream begins, before anything that a client sends is read. */
  readonly byTokenAlone?: boolean;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly limits?: Partial<AdsServerLimits>;
  /** Milliseconds; for deadlines and ages. */
  readonly now?: () => number;
}

/** One connected client and how far it is. */
export interface AdsClientStatus {
  readonly client: XdsClient;
  readonly protocol: AdsProtocol;
  readonly connectedSince: number;
  readonly types: readonly AdsTypeStatus[];
}

export interface AdsServer {
  /** `unix:/run/x/xds.sock` or `127.0.0.1:0`; gives the port, 1 for a socket. */
  listen(address: string, credentials: ServerCredentials): Promise<number>;
  status(): readonly AdsClientStatus[];
  clients(): readonly XdsClient[];
  /** Calls back when a client comes, goes, or answers, until the returned function is called. */
  onStatus(listener: () => void): () => void;
  /** Ends the streams of clients that are no longer to be served. */
  disconnect(unwanted: (client: ClientName) => boolean, reason: string): void;
  close(): Promise<void>;
}

const identity = (bytes: Buffer): Buffer => bytes;
/** Streams are served in turns of this many milliseconds, so that requests are taken between them. */
const turn = 5;

/** Serves ADS, delta and state of the world. Resources travel as the bytes that the source has. */
export function createAdsServer(options: AdsServerOptions): AdsServer {
  const { source, authenticate, log, now = Date.now } = options;
  const limits = { ...defaultServerLimits, ...options.limits };
  const metrics = declareStreamMetrics(options.metrics);
  const encoder = createResponseEncoder();
  const queue = { bytes: limits.queuedBytes, stuck: limits.stuck };
  const budget = createFlushBudget({ bytes: limits.unsentBytes, patience: 200, queue });
  const refusals = createRefusalLog({ log });
  // All of a large mesh may connect at once; whoever comes again and again fills no log.
  const telling = createAllowance({ requestBurst: 5_000, requestsPerSecond: 5 }, now);
  const gate = createConnectionGate({
    limits,
    onRefused({ kind, reason, address }) {
      metrics.refused.inc({ reason: kind });
      refusals.tell({ message: 'xDS connection closed', reason, from: address });
    },
  });
  const doors = new Set<NetServer>();
  const streams = createStreamIndex<AdsConnection>();
  /** Open streams by client, and bytes of the names that it has said on them. */
  const counts = new Map<string, { streams: number; held: number }>();
  const listeners = new Set<() => void>();
  const pending = createPendingStreams(limits);
  let serving = false;
  /** What changed and was not offered yet: for the clients of these pods, or for all. */
  let due: Set<string> | 'all' | undefined;

  const server = new Server({
    'grpc.max_receive_message_length': limits.messageBytes,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_concurrent_streams': 64,
    // Who has no stream has no business here; sidecars open one at once.
    'grpc.max_connection_idle_ms': 30_000,
    'grpc.enable_channelz': 0,
    // MiB of one connection beyond which it gets no more streams.
    'grpc-node.max_session_memory': 32,
  });

  const changed = (): void => {
    for (const listener of listeners) listener();
  };

  function open(call: ServerDuplexStream<Buffer, Buffer>, protocol: AdsProtocol): void {
    const peer = call.getPeer();
    const [full, reason = ''] =
      streams.size >= limits.streams
        ? ['too many streams', 'streams']
        : [pending.reasonAgainst(toPeerAddress(peer)), 'pending'];
    if (full !== undefined) {
      metrics.refused.inc({ reason });
      refusals.tell({ message: 'ADS stream refused', reason: full, from: toPeerAddress(peer), fields: { peer } });
      call.emit('error', { code: grpcStatus.RESOURCE_EXHAUSTED, details: full });
      call.resume();
      return;
    }
    const pass = gate.enter(peer);
    const settle = pending.enter(toPeerAddress(peer));
    const connection = openConnection({
      call,
      protocol,
      source,
      encoder,
      limits,
      metrics,
      log,
      refusals,
      mayTell: () => telling.take(),
      now,
      budget,
      cut: () => pass.cut(),
      authenticate,
      byTokenAlone: options.byTokenAlone === true,
      admit: (client) => {
        const key = keyOf(client);
        const count = counts.get(key) ?? { streams: 0, held: 0 };
        if (count.streams >= limits.streamsPerClient) return false;
        count.streams += 1;
        counts.set(key, count);
        settle();
        pass.known();
        streams.assign(connection, client.pod);
        return true;
      },
      discount: (client) => discount(keyOf(client)),
      hold: (client, bytes) => {
        const count = counts.get(keyOf(client));
        if (count) count.held += bytes;
        return (count?.held ?? 0) <= limits.nameBytes;
      },
      onStatus: changed,
      onClose: () => {
        settle();
        pass.left();
        streams.delete(connection);
        metrics.streams.set(streams.size);
        changed();
      },
    });
    streams.add(connection);
    metrics.streams.set(streams.size);
  }

  function discount(key: string): void {
    const count = counts.get(key);
    if (!count) return;
    count.streams -= 1;
    if (count.streams <= 0) counts.delete(key);
  }

  /** Offers a change to the streams that it concerns. What changes meanwhile starts one more round, however often it does. */
  async function serve(pods: ReadonlySet<string> | undefined): Promise<void> {
    due = pods === undefined || due === 'all' ? 'all' : new Set([...(due ?? []), ...pods]);
    if (serving) return;
    serving = true;
    try {
      while (due !== undefined) {
        const concerned = due === 'all' ? streams.all() : streams.of(due);
        due = undefined;
        await serveEach(concerned);
      }
    } finally {
      serving = false;
    }
  }

  async function serveEach(concerned: readonly AdsConnection[]): Promise<void> {
    let start = performance.now();
    for (const connection of concerned) {
      connection.pump();
      if (performance.now() - start < turn) continue;
      await new Promise<void>((resolve) => setImmediate(resolve));
      start = performance.now();
    }
  }

  const queuedBytes = options.metrics.gauge('tulle_xds_queued_bytes', 'Written to clients and not sent yet');
  const openConnections = options.metrics.gauge('tulle_xds_connections', 'Open connections', ['of']);
  options.metrics.onCollect(() => {
    queuedBytes.set(budget.queued);
    openConnections.set(gate.strangers, { of: 'strangers' });
    openConnections.set(gate.connections - gate.strangers, { of: 'clients' });
  });

  const unsubscribe = source.subscribe((pods) => void serve(pods));

  for (const protocol of ['delta', 'sotw'] as const) {
    const handler: handleBidiStreamingCall<Buffer, Buffer> = (call) => open(call, protocol);
    server.register(adsPaths[protocol], handler, identity, identity, 'bidi');
  }

  return {
    async listen(address, credentials) {
      // Connections are counted before TLS has cost anything: gRPC is handed those that are let in.
      const injector = server.createConnectionInjector(credentials);
      const door = createServer((socket) => {
        socket.setNoDelay(true);
        if (gate.take(socket)) injector.injectConnection(socket);
      });
      await new Promise<void>((resolve, reject) => {
        door.once('error', reject);
        door.listen(toListenOptions(address), () => {
          door.off('error', reject);
          resolve();
        });
      });
      doors.add(door);
      return toPort(door.address());
    },
    status() {
      const all: AdsClientStatus[] = [];
      for (const connection of streams.all()) {
        const { client, protocol, connectedSince } = connection;
        if (client) all.push({ client, protocol, connectedSince, types: connection.types() });
      }
      return all;
    },
    clients: () =>
      streams
        .all()
        .map(({ client }) => client)
        .filter((client) => client !== undefined),
    onStatus(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    disconnect(unwanted, reason) {
      // Those as well that have not said anything yet: they are let in, by what held then.
      for (const connection of streams.all()) {
        if (connection.name && unwanted(connection.name)) connection.end(grpcStatus.UNAUTHENTICATED, reason);
      }
    },
    async close() {
      unsubscribe();
      for (const door of doors) door.close();
      for (const connection of streams.all()) connection.end(grpcStatus.UNAVAILABLE, 'the control plane stops');
      await new Promise<void>((resolve) => {
        setImmediate(() => {
          server.forceShutdown();
          gate.close();
          refusals.close();
          resolve();
        });
      });
    },
  };
}

function keyOf({ identity: who, pod }: ClientName): string {
  return `${who} ${pod ?? ''}`;
}
