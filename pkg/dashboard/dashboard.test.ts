import assert from 'node:assert/strict';
import { request } from 'node:http';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCallLog } from '../observability/call-log.ts';
import type { Flow } from '../observability/flows.ts';
import { makeSpan } from '../observability/span.fixture.ts';
import type { TraceStore } from '../observability/trace-store.ts';
import { createTraceStore } from '../observability/trace-store.ts';
import type { MeshReport } from './dashboard.ts';
import { createDashboard } from './dashboard.ts';
import type { MeshState } from './mesh-view.ts';
import type { TraceList } from './trace-list.ts';

const state: MeshState = {
  id: 'test',
  mode: 'enforce',
  modeFrom: 'default',
  trustDomain: 'cluster.local',
  isolation: 'isolated',
  inputs: [],
  services: [],
  pods: [],
  problems: [],
  proxies: [],
  splits: [
    {
      split: 'shop/canary',
      root: 'shop/cart',
      wanted: [
        { backend: 'cart-v1', weight: 3 },
        { backend: 'cart-v2', weight: 1 },
        { backend: 'cart-v3', weight: 4, excluded: 'BackendNotFound' },
      ],
    },
  ],
};

describe('the dashboard', () => {
  let server: Server;
  let port: number;
  let store: TraceStore;
  let controller: AbortController;
  let current: MeshState;
  let changed: () => void;
  let traces = 0;

  beforeEach(async () => {
    controller = new AbortController();
    const { signal } = controller;
    current = state;
    store = createTraceStore({ now: Date.now });
    const calls = createCallLog({ now: Date.now });
    store.subscribe((spans) => calls.add(spans));
    const listeners = new Set<() => void>();
    changed = () => listeners.forEach((listener) => listener());
    const view = {
      state: () => current,
      subscribe: (listener: () => void) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    };
    server = createServer(
      createDashboard({
        view,
        traces: store,
        calls,
        signal,
        now: Date.now,
        metrics: () => 'tulle_up 1\n',
      }),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });

  afterEach(() => {
    controller.abort();
    server.closeAllConnections();
    server.close();
  });

  function call(backend: string, attributes: Record<string, string | number> = {}): void {
    traces += 1;
    const own = {
      'tulle.direction': 'outbound',
      'tulle.source': 'shop/web',
      'tulle.service': 'shop/cart:80',
      'tulle.split': 'shop/canary',
      'tulle.backend': backend,
      'tulle.verdict': 'allowed',
      'http.request.method': 'GET',
      'url.path': '/items',
      'http.response.status_code': 200,
      ...attributes,
    };
    store.add([
      makeSpan({
        trace: traces,
        span: 1,
        kind: 'client',
        service: 'web',
        at: Date.now(),
        attributes: own,
      }),
    ]);
  }

  const get = async <T>(path: string): Promise<T> =>
    (await (await fetch(`http://127.0.0.1:${port}${path}`)).json()) as T;

  function status(path: string, headers: Record<string, string>): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const sent = request({ port, path, headers, host: '127.0.0.1' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.on('error', reject).end();
    });
  }

  it('answers the state of the mesh, with each split as wanted and as observed', async () => {
    for (const backend of ['cart-v1', 'cart-v1', 'cart-v1', 'cart-v2']) call(backend);

    const { splits, mode } = await get<MeshReport>('/api/mesh');
    assert.equal(mode, 'enforce');
    const [split] = splits;
    assert.deepEqual(
      split?.wanted.map(({ share }) => share),
      [0.75, 0.25, 0],
    );
    assert.equal(split?.total, 4);
    assert.deepEqual(
      split?.observed.map(({ backend, requests, share, within }) => ({
        backend,
        requests,
        share,
        within,
      })),
      [
        { backend: 'cart-v1', requests: 3, share: 0.75, within: true },
        { backend: 'cart-v2', requests: 1, share: 0.25, within: true },
        { backend: 'cart-v3', requests: 0, share: 0, within: true },
      ],
    );
  });

  it('sees a share that is not as wanted', async () => {
    for (let index = 0; index < 200; index += 1) call('cart-v1');

    const [split] = (await get<MeshReport>('/api/mesh')).splits;
    assert.equal(split?.observed[1]?.within, false);
  });

  it('counts a split anew when its weights change', async () => {
    call('cart-v1');
    current = {
      ...state,
      splits: [{ ...state.splits[0]!, wanted: [{ backend: 'cart-v2', weight: 1 }] }],
    };
    changed();

    const [split] = (await get<MeshReport>('/api/mesh')).splits;
    assert.equal(split?.total, 0);
    assert.ok((split?.since ?? 0) > 0);
  });

  it('answers flows and requests', async () => {
    call('cart-v1');
    const [flow] = await get<Flow[]>('/api/flows?since=1m');
    assert.equal(flow?.source, 'shop/web');
    assert.equal(flow.example.path, '/items');
    assert.equal((await get<unknown[]>('/api/requests?since=1m&limit=5')).length, 1);
    assert.equal((await fetch(`http://127.0.0.1:${port}/api/flows?since=soon`)).status, 400);
  });

  it('says since when requests are recorded, where that is not as far back as was asked', async () => {
    const sinceOf = async (since: string): Promise<string | null> =>
      (await fetch(`http://127.0.0.1:${port}/api/requests?since=${since}`)).headers.get('tulle-recorded-since');
    assert.ok(Math.abs(Date.parse((await sinceOf('1h')) ?? '') - Date.now()) < 60_000);
    assert.equal(await sinceOf('1ns'), null);
  });

  it('lists traces: failures first, by filter, by words', async () => {
    call('cart-v1');
    call('cart-v2', {
      'http.response.status_code': 403,
      'tulle.verdict': 'denied',
      'url.path': '/secret',
    });
    store.add([
      makeSpan({
        trace: 9_999,
        span: 1,
        service: 'web',
        status: 'error',
        at: Date.now() - 60_000,
      }),
    ]);

    const list = await get<TraceList>('/api/summaries');
    assert.deepEqual(
      list.traces.map(({ errors, denied }) => [errors, denied]),
      [
        [1, 0],
        [0, 1],
        [0, 0],
      ],
    );
    assert.deepEqual(list.counts, {
      all: 3,
      errors: 1,
      denied: 1,
      broken: 0,
      incomplete: 0,
    });
    assert.equal((await get<TraceList>('/api/summaries?filter=denied')).traces.length, 1);
    assert.equal((await get<TraceList>('/api/summaries?q=secret')).traces.length, 1);
    assert.equal((await get<TraceList>('/api/summaries?q=status_code%3D403%20web')).traces.length, 1);
    assert.equal((await get<TraceList>('/api/summaries?q=nothing')).traces.length, 0);
  });

  it('has Jaeger under the same roof', async () => {
    call('cart-v1');
    assert.deepEqual(await get('/api/services'), {
      data: ['web'],
      total: 1,
      limit: 0,
      offset: 0,
      errors: null,
    });
  });

  it('answers only to the names of this machine', async () => {
    assert.equal(await status('/api/mesh', { host: `localhost:${port}` }), 200);
    assert.equal(await status('/api/mesh', { host: `[::1]:${port}` }), 200);
    assert.equal(await status('/api/mesh', { host: 'evil.example' }), 403);
    assert.equal(await status('/api/mesh', { host: '127.0.0.1.evil.example' }), 403);
    assert.equal(await status('/', { host: `evil.example:${port}` }), 403);
  });

  it('answers no other page', async () => {
    const host = `127.0.0.1:${port}`;
    assert.equal(await status('/api/mesh', { host, origin: `http://${host}` }), 200);
    assert.equal(await status('/api/mesh', { host, origin: 'http://evil.example' }), 403);
    assert.equal(await status('/api/mesh', { host, origin: 'http://127.0.0.1:1' }), 403);
    assert.equal(await status('/api/mesh', { host, origin: 'null' }), 403);
    assert.equal(
      await status('/api/mesh', {
        host,
        'sec-fetch-site': 'cross-site',
        'sec-fetch-mode': 'no-cors',
      }),
      403,
    );
  });

  it('forbids scripts from elsewhere', async () => {
    const response = await fetch(`http://127.0.0.1:${port}/api/mesh`);
    const policy = response.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'; script-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(response.headers.get('x-powered-by'), null);
  });

  it('tells of changes, once for many', async () => {
    const response = await fetch(`http://127.0.0.1:${port}/api/events`);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    call('cart-v1');
    call('cart-v1');
    changed();
    let text = '';
    while (!text.includes('event: change')) text += (await reader.read()).value ?? '';
    assert.match(text, /data: \{"parts":\["traffic","mesh"\]\}/);
    await reader.cancel();
  });

  it('has health and metrics', async () => {
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text(), 'ok\n');
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(), 'tulle_up 1\n');
    assert.equal((await fetch(`http://127.0.0.1:${port}/nothing`)).status, 404);
    assert.equal((await fetch(`http://127.0.0.1:${port}/api/nothing`)).status, 404);
  });
});
