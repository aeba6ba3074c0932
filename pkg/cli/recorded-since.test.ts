import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createDashboard } from '../dashboard/dashboard.ts';
import type { MeshState } from '../dashboard/mesh-view.ts';
import { createCallLog } from '../observability/call-log.ts';
import { makeSpan } from '../observability/span.fixture.ts';
import { createTraceStore } from '../observability/trace-store.ts';
import { type ShopCluster, shopObjects, startShopCluster } from './shop-cluster.fixture.ts';

describe('commands that rest on what was recorded', function () {
  this.timeout(30_000);
  let shop: ShopCluster;
  let end: AbortController;
  let servers: Server[];
  const now = Date.now();
  const minute = 60_000;

  beforeEach(async () => {
    [end, servers] = [new AbortController(), []];
    shop = await startShopCluster();
    shop.write(
      'policy.yaml',
      shopObjects['/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/good-to-web']!,
    );
  });
  afterEach(async () => {
    end.abort();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    await shop.close();
  });

  /** A replica that began to record some minutes ago, keeps two calls, and had a call each of these minutes ago. */
  async function startReplica(name: string, began: number, ...ago: readonly number[]): Promise<void> {
    let clock = now - began * minute;
    const calls = createCallLog({ now: () => clock, maxCalls: 2 });
    clock = now;
    const traces = createTraceStore({ now: () => now });
    traces.subscribe((spans) => calls.add(spans));
    for (const [index, minutes] of ago.entries()) {
      const attributes = {
        'tulle.direction': 'outbound',
        'tulle.source': 'shop/bad',
        'tulle.service': 'shop/web:80',
        'tulle.destination': 'shop/web',
        'tulle.verdict': 'denied',
        'http.request.method': 'GET',
        'url.path': '/books',
        'http.response.status_code': 403,
      };
      const at = now - minutes * minute;
      traces.add([makeSpan({ trace: index + 1, span: 1, kind: 'client', pod: 'shop/bad-1', at, attributes })]);
    }
    const state = { id: 'osm', mode: 'permissive', proxies: [], problems: [], splits: [] } as unknown as MeshState;
    const view = { state: () => state, subscribe: () => () => undefined };
    const server = createServer(createDashboard({ view, traces, calls, signal: end.signal, now: () => now }));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    const known = shop.cluster.objects.get('/api/v1/namespaces/tulle-system/pods/tulle-controller-1')!;
    const pod = { ...known, metadata: { ...known.metadata, name } };
    shop.cluster.objects.set(`/api/v1/namespaces/tulle-system/pods/${name}`, pod);
    shop.cluster.forwards.set(`tulle-system/${name}:9092`, (server.address() as AddressInfo).port);
  }

  /** As the commands write it. */
  function clockTime(minutes: number): RegExp {
    const time = new Date(now - minutes * minute);
    const two = (number: number): string => String(number).padStart(2, '0');
    return new RegExp(
      `recorded only since (\\d{4}-\\d\\d-\\d\\d )?${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}\\b`,
    );
  }
  const jsonOf = (out: string): { recordedSince?: string } => JSON.parse(out) as { recordedSince?: string };
  const iso = (minutes: number): string => new Date(now - minutes * minute).toISOString();

  it('enforce says since when, after the newest call that was dropped, and has it in JSON', async () => {
    await startReplica('tulle-controller-1', 90, 30, 20, 10);
    const { out } = await shop.tulle('enforce', 'shop', '--since', '1h');
    assert.match(out, clockTime(30));
    const json = await shop.tulle('enforce', 'shop', '--since', '1h', '-o', 'json');
    assert.equal(jsonOf(json.out).recordedSince, iso(30));
  });

  it('enforce says so too where nothing was called', async () => {
    await startReplica('tulle-controller-1', 5);
    const { out } = await shop.tulle('enforce', 'shop');
    assert.match(out, clockTime(5));
  });

  it('whatif and suggest say it beside what they find', async () => {
    await startReplica('tulle-controller-1', 90, 30, 20, 10);
    for (const argv of [
      ['whatif', '-f', 'policy.yaml', '--since', '1h'],
      ['suggest', '--since', '1h'],
    ]) {
      const { err } = await shop.tulle(...argv);
      assert.match(err, clockTime(30), argv.join(' '));
      const json = await shop.tulle(...argv, '-o', 'json');
      assert.equal(jsonOf(json.out).recordedSince, iso(30));
      assert.equal(json.err, '');
    }
  });

  it('the record reaches as far back as that of the replica which reaches farthest: they tell each other', async () => {
    await startReplica('tulle-controller-1', 90, 30, 20, 10);
    await startReplica('tulle-controller-2', 45);
    const { out } = await shop.tulle('enforce', 'shop', '--since', '1h');
    assert.match(out, clockTime(45));
  });

  it('nothing is said of a record that reaches back as far as was asked for', async () => {
    await startReplica('tulle-controller-1', 90, 30, 20, 10);
    await startReplica('tulle-controller-2', 61);
    for (const argv of [['enforce', 'shop'], ['whatif', '-f', 'policy.yaml'], ['suggest']]) {
      const { out, err } = await shop.tulle(...argv, '--since', '1h');
      assert.doesNotMatch(out + err, /recorded only/);
    }
  });
});
