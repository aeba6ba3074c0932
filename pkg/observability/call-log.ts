import type { Call } from './call.ts';
import { mergeCalls, toCall } from './call.ts';
import type { Flow } from './flows.ts';
import { createFlowTable } from './flows.ts';
import type { Span } from './span.ts';

export interface CallLogOptions {
  /** Calls that are kept one by one; flows and shares go on without. */
  readonly maxCalls?: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** How the requests of one TrafficSplit were shared. */
export interface ObservedShare {
  /** Name of the backend's Service. */
  readonly backend: string;
  readonly requests: number;
  readonly share: number;
}

export interface CallLog {
  /** Takes spans as they come, from both sidecars of a call, in any order; those of apps are passed over. */
  add(spans: readonly Span[]): void;
  flows(since: number): Flow[];
  /** Newest first. */
  requests(since: number, limit: number): Call[];
  /** Of calls that began after this none is missing, but for what was lost on the way: milliseconds since 1970. */
  recordedSince(): number;
  /** Requests per backend since `resetShares` was last called for this split, or since the beginning. */
  shares(split: string): ObservedShare[];
  /** Counts a split anew from calls that began at `since` or later: its weights changed. */
  resetShares(split: string, since: number): void;
}

/** How long a span of a server's sidecar waits for that of the client's before it counts by itself. */
const graceMs = 4_000;
const maxPending = 5_000;
/** A TCP connection carries no ids: its two ends are told to be one by source, pod and the time they began. */
const tcpTolerance = 1_000;

interface Tally {
  since: number;
  readonly counts: Map<string, number>;
}

interface Pending {
  readonly call: Call;
  readonly arrivedAt: number;
}

export function createCallLog({ maxCalls = 20_000, now }: CallLogOptions): CallLog {
  const table = createFlowTable(now);
  /** By id of the client's span, in the order of arrival. */
  const calls = new Map<string, Call>();
  /** Calls that only the server's side reported so far, by the id that the client's span must have. */
  const pending = new Map<string, Pending>();
  /** TCP calls of clients for which no server's span came yet. */
  const halfTcp = new Map<string, Call>();
  const tallies = new Map<string, Tally>();
  let recordedSince = now();

  function keep(id: string, call: Call): void {
    calls.set(id, call);
    table.add(call);
    for (const [oldest, { time }] of calls) {
      if (calls.size <= maxCalls) break;
      recordedSince = Math.max(recordedSince, time);
      calls.delete(oldest);
      halfTcp.delete(oldest);
    }
  }

  function tally({ split, backend, time, observer }: Call): void {
    if (split === '' || backend === '' || observer === 'server') return;
    let entry = tallies.get(split);
    if (entry === undefined) {
      if (tallies.size >= 2_000) return;
      tallies.set(split, (entry = { since: 0, counts: new Map() }));
    }
    if (time >= entry.since) entry.counts.set(backend, (entry.counts.get(backend) ?? 0) + 1);
  }

  function join(id: string, client: Call, server: Call): void {
    const merged = mergeCalls(client, server);
    table.remove(client);
    calls.set(id, merged);
    table.add(merged);
  }

  function addClient(id: string, call: Call): void {
    keep(id, call);
    tally(call);
    const found = pending.has(id) ? id : call.protocol === 'tcp' ? findPendingTcp(call) : undefined;
    const server = found === undefined ? undefined : pending.get(found)?.call;
    if (found !== undefined && server !== undefined) {
      pending.delete(found);
      join(id, call, server);
    } else if (call.protocol === 'tcp') {
      halfTcp.set(id, call);
    }
  }

  function addServer(span: Span, call: Call): void {
    const id = `${span.traceId}${span.parentSpanId}`;
    const client = calls.get(id);
    if (span.parentSpanId !== '' && client?.observer === 'client') {
      join(id, client, call);
      return;
    }
    for (const [tcpId, half] of call.protocol === 'tcp' ? halfTcp : []) {
      if (!isSameConnection(half, call)) continue;
      halfTcp.delete(tcpId);
      join(tcpId, half, call);
      return;
    }
    const own = `${span.traceId}${span.spanId}`;
    // Nobody else reports the calls of a peer without sidecar.
    if (call.source === '') keep(own, call);
    else pending.set(span.parentSpanId === '' ? own : id, { call, arrivedAt: now() });
  }

  function findPendingTcp(call: Call): string | undefined {
    for (const [id, { call: server }] of pending) {
      if (server.protocol === 'tcp' && isSameConnection(call, server)) return id;
    }
    return undefined;
  }

  /** Counts what the server's side reported and the client's did not: its sidecar was killed, or exports elsewhere. */
  function settle(): void {
    const late = now() - graceMs;
    for (const [id, { call, arrivedAt }] of pending) {
      if (arrivedAt > late && pending.size <= maxPending) break;
      pending.delete(id);
      keep(id, call);
    }
  }

  return {
    add(spans) {
      for (const span of spans) {
        const call = toCall(span);
        if (call?.observer === 'client') addClient(`${span.traceId}${span.spanId}`, call);
        else if (call !== undefined) addServer(span, call);
      }
      settle();
    },
    flows(since) {
      settle();
      return table.flows(since);
    },
    requests(since, limit) {
      settle();
      const newest = [...calls.values()].filter(({ time }) => time >= since).sort((a, b) => b.time - a.time);
      return newest.slice(0, limit);
    },
    recordedSince: () => recordedSince,
    shares(split) {
      const counts = tallies.get(split)?.counts ?? new Map<string, number>();
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
      return [...counts].map(([backend, requests]) => ({ backend, requests, share: requests / total }));
    },
    resetShares(split, since) {
      tallies.set(split, { since, counts: new Map() });
      for (const call of calls.values()) if (call.split === split) tally(call);
    },
  };
}

function isSameConnection(client: Call, server: Call): boolean {
  return (
    client.source === server.source &&
    client.serverPod === server.serverPod &&
    Math.abs(client.time - server.time) <= tcpTolerance
  );
}
