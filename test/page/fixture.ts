import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createDashboard } from '../../pkg/dashboard/dashboard.ts';
import type { MeshState, MeshView, PodState, ServiceState } from '../../pkg/dashboard/mesh-view.ts';
import { createCallLog } from '../../pkg/observability/call-log.ts';
import { createOtlpReceiver } from '../../pkg/observability/otlp-receiver.ts';
import type { Span } from '../../pkg/observability/span.ts';
import { createTraceStore } from '../../pkg/observability/trace-store.ts';
import type { ServiceIdentity } from '../../pkg/policy/identity.ts';
import { tulleTypes } from '../../pkg/xds/resources.ts';
import type { Hop, Workload } from './spans.ts';
import { hopSpans } from './spans.ts';

/** A mesh that isn't there: the state is made up, the traffic goes through the real store. */
export interface Fixture {
  readonly url: string;
  /** Replaces the state and tells the page. */
  set(change: Partial<MeshState>): void;
  readonly state: () => MeshState;
  add(spans: readonly Span[]): void;
  /** One purchase of bookbuyer at a moment: four sidecars, or more, tell of it. */
  purchase(atMs: number): void;
  /** bookthief tries. */
  theft(atMs: number): void;
  close(): Promise<void>;
}

export const workloads = {
  bookbuyer: {
    namespace: 'bookbuyer',
    name: 'bookbuyer',
    account: 'bookbuyer',
  },
  bookthief: {
    namespace: 'bookthief',
    name: 'bookthief',
    account: 'bookthief',
  },
  v1: { namespace: 'bookstore', name: 'bookstore-v1', account: 'bookstore-v1' },
  v2: { namespace: 'bookstore', name: 'bookstore-v2', account: 'bookstore-v2' },
  bookwarehouse: {
    namespace: 'bookwarehouse',
    name: 'bookwarehouse',
    account: 'bookwarehouse',
  },
  bookdb: { namespace: 'bookwarehouse', name: 'bookdb', account: 'bookdb' },
} satisfies Record<string, Workload>;

const emptyState: MeshState = {
  id: 'bookstore',
  mode: 'enforce',
  modeFrom: 'default for files',
  trustDomain: 'cluster.local',
  isolation: 'isolated',
  inputs: ['demo/bookstore/mesh'],
  services: [],
  pods: [],
  problems: [],
  proxies: [],
  splits: [],
};

function service(namespace: string, name: string, port: number, ...accounts: string[]): ServiceState {
  const protocol = port === 3306 ? 'tcp-server-first' : 'http';
  const endpoints = accounts.length;
  return {
    namespace,
    name,
    ports: [{ port, protocol }],
    accounts,
    ready: endpoints,
    endpoints,
  };
}

function pod({ namespace, name, account }: Workload, port?: number): PodState {
  return {
    pod: `${namespace}/${name}-0`,
    account: `${namespace}/${account}`,
    owner: `${namespace}/Deployment/${name}`,
    ready: true,
    sidecar: 'node',
    ...(port !== undefined && { address: `http://127.0.0.1:${port}` }),
  };
}

const split = 'bookstore/bookstore-split';

export function bookstoreState(): MeshState {
  const pods = Object.values(workloads).map((workload, index) => pod(workload, 41_000 + index));
  return {
    ...emptyState,
    services: [
      service('bookstore', 'bookstore', 14001, 'bookstore/bookstore-v1', 'bookstore/bookstore-v2'),
      service('bookstore', 'bookstore-v1', 14001, 'bookstore/bookstore-v1'),
      service('bookstore', 'bookstore-v2', 14001, 'bookstore/bookstore-v2'),
      service('bookwarehouse', 'bookwarehouse', 14001, 'bookwarehouse/bookwarehouse'),
      service('bookwarehouse', 'bookdb', 3306, 'bookwarehouse/bookdb'),
    ],
    pods,
    splits: [
      {
        split,
        root: 'bookstore/bookstore',
        wanted: [
          { backend: 'bookstore-v1', weight: 90 },
          { backend: 'bookstore-v2', weight: 10 },
        ],
      },
    ],
    problems: [
      {
        resource: {
          kind: 'TrafficTarget',
          namespace: 'bookstore',
          name: 'bookthief-to-bookstore',
        },
        field: '/spec/rules/0/matches/1',
        severity: 'error',
        reason: 'MatchNotFound',
        message: 'no match "buy-book" in HTTPRouteGroup "bookstore-service-routes"',
        fix: 'name one of its matches: books-bought, buy-a-book',
        position: {
          file: 'demo/bookstore/mesh/access.yaml',
          line: 24,
          column: 17,
        },
      },
      {
        resource: {
          kind: 'TCPRoute',
          namespace: 'bookwarehouse',
          name: 'bookdb',
        },
        field: '/spec/matches/ports/0',
        severity: 'warning',
        reason: 'ServicePortMeant',
        message: '3307 is a port of Service "bookdb", not of its workload',
        fix: 'write 3306, its targetPort',
        position: {
          file: 'demo/bookstore/mesh/access.yaml',
          line: 71,
          column: 13,
        },
      },
    ],
    proxies: pods.map(({ pod: name, account }, index) => ({
      pod: name,
      identity: `spiffe://cluster.local/ns/${account.replace('/', '/sa/')}` as ServiceIdentity,
      nodeId: name,
      kind: 'node' as const,
      types: Object.values(tulleTypes).map((typeUrl) => ({
        typeUrl,
        synced: index !== 5 || !typeUrl.includes('End'),
      })),
    })),
  };
}

/** Random numbers that are the same in every run. */
function createChance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export interface FixtureOptions {
  readonly pageDir: string;
  readonly state?: Partial<MeshState>;
  readonly port?: number;
}

export async function startFixture({ pageDir, state: given, port = 0 }: FixtureOptions): Promise<Fixture> {
  const controller = new AbortController();
  const store = createTraceStore({ now: Date.now });
  const calls = createCallLog({ now: Date.now });
  store.subscribe((spans) => calls.add(spans));
  let state: MeshState = { ...emptyState, ...given };
  const listeners = new Set<() => void>();
  const view: MeshView = {
    state: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const receiver = createOtlpReceiver({ onSpans: (spans) => store.add(spans) });
  const { signal } = controller;
  const app = createDashboard({
    view,
    traces: store,
    calls,
    signal,
    now: Date.now,
    pageDir,
    receiver,
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));

  const chance = createChance(7);
  const newId = (): string =>
    Array.from({ length: 16 }, () => Math.floor(chance() * 16).toString(16))
      .join('')
      .replace(/^0+$/, '1');
  const newTrace = (): string => newId() + newId();
  const { bookbuyer, bookthief, v1, v2, bookwarehouse, bookdb } = workloads;

  function hop(parts: Hop): string {
    const { spans, serverSpan } = hopSpans(parts, newId);
    store.add(spans);
    return serverSpan;
  }

  function purchase(atMs: number): void {
    const traceId = newTrace();
    const newest = chance() < 0.1;
    const server = newest ? v2 : v1;
    const took = 12 + chance() * 20 + (chance() < 0.02 ? 400 : 0);
    const failed = chance() < 0.01;
    const get = {
      method: 'GET',
      startMs: atMs,
      durationMs: took,
      client: bookbuyer,
      server,
      parent: '',
      traceId,
    };
    const inside = hop({
      ...get,
      path: '/buy-a-book/new',
      service: 'bookstore/bookstore:14001',
      status: failed ? 502 : 200,
      split,
      backend: server.name,
      rule: `bookstore/bookbuyer-to-${server.name}`,
    });
    // The new version lost the trace headers.
    const broken = newest && chance() < 0.5;
    const restock = hop({
      traceId: broken ? newTrace() : traceId,
      parent: broken ? '' : inside,
      client: server,
      server: bookwarehouse,
      service: 'bookwarehouse/bookwarehouse:14001',
      method: 'POST',
      path: '/restock-books',
      status: 200,
      startMs: atMs + 3,
      durationMs: took - 6,
      rule: 'bookwarehouse/bookstore-to-bookwarehouse',
    });
    if (restock !== '' && chance() < 0.3) {
      hop({
        traceId: newTrace(),
        parent: '',
        client: bookwarehouse,
        server: bookdb,
        service: 'bookwarehouse/bookdb:3306',
        startMs: atMs + 5,
        durationMs: took - 10,
        rule: 'bookwarehouse/bookwarehouse-to-bookdb',
      });
    }
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    state: () => state,
    set(change) {
      state = { ...state, ...change };
      for (const listener of listeners) listener();
    },
    add: (spans) => store.add(spans),
    purchase,
    theft(atMs) {
      hop({
        traceId: newTrace(),
        parent: '',
        client: bookthief,
        service: 'bookstore/bookstore:14001',
        method: 'GET',
        path: '/buy-a-book/new',
        status: 403,
        startMs: atMs,
        durationMs: 0.6 + chance(),
        verdict: 'denied',
        reason: 'SourceNotAllowed',
      });
    },
    close: async () => {
      controller.abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Ten minutes of traffic that has already happened, up to three seconds ago. */
export function pastTraffic(fixture: Fixture, purchases: number): void {
  const now = Date.now();
  const spread = 9 * 60_000;
  for (let index = 0; index < purchases; index += 1) {
    const at = now - spread + ((spread - 3_000) * index) / purchases;
    fixture.purchase(at);
    if (index % 3 === 0) fixture.theft(at + 50);
  }
}
