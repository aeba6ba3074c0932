import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import type { RouteConfiguration } from '../../pkg/envoy-config/envoy-route-types.ts';
import type { XdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import { findEnvoy, findEnvoyVersion, oldestEnvoyVersion } from '../../pkg/local/envoy/find-envoy.ts';
import type { FoundEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { textOf } from '../../pkg/observability/span.ts';
import type { ServiceIdentity } from '../../pkg/policy/identity.ts';
import type { PolicyMode } from '../../pkg/policy/inbound.ts';
import { until } from '../support/envoy.ts';
import { scenarioConfig } from '../support/scenario.ts';
import { pod, port, routeGroup, service, snapshotOf, target, tcpRoute } from '../support/snapshot.ts';
import { startEnvoyMesh } from './envoy-mesh.ts';
import type { EnvoyMesh, LoadedMesh } from './envoy-mesh.ts';
import { openKept } from './kept-connection.ts';
import type { Answer, Kept } from './kept-connection.ts';

const search = { path: process.env['PATH'] ?? '', cache: join(homedir(), '.cache', 'tulle') };

const envoys: readonly { readonly title: string; readonly find: () => FoundEnvoy | undefined }[] = [
  { title: 'access in Envoy', find: () => findEnvoy({ ...search, fetch: true }) },
  {
    title: `access in Envoy ${oldestEnvoyVersion}`,
    find: () => findEnvoyVersion(oldestEnvoyVersion, { ...search, fetch: process.env['TULLE_ALL_ENVOYS'] === '1' }),
  },
];

/** A cart whose items may be read by `from`. `shadow`: a target that is only rehearsed lets `web` do anything. */
function modelOf(mode: PolicyMode, from: readonly string[], shadow = false): MeshModel {
  const items = { kind: 'HTTPRouteGroup', name: 'routes' };
  const all = { kind: 'HTTPRouteGroup', name: 'all' };
  const annotations = { 'tulle.dev/mode': 'shadow' };
  const snapshot = snapshotOf({
    config: { ...scenarioConfig, mode, tracing: { sampling: 1 } },
    services: [service('shop', 'cart', { clusterIPs: ['10.96.0.1'] })],
    pods: [pod('shop', 'cart', { serviceAccount: 'cart', ip: '10.0.0.1' })],
    smi: [
      routeGroup('shop', 'routes', [{ name: 'items', pathRegex: '/items', methods: ['GET'] }]),
      ...(from.length > 0 ? [target('shop', 'to-cart', { to: 'cart', from: [...from], rules: [items] })] : []),
      ...(shadow
        ? [
            routeGroup('shop', 'all', [{ name: 'all', pathRegex: '.*', methods: ['*'] }]),
            target('shop', 'all-of-cart', { to: 'cart', from: ['web'], rules: [all], annotations }),
          ]
        : []),
    ],
  });
  return buildMesh(snapshot).value;
}

/** A database that `web` may connect to. */
function databaseModel(): MeshModel {
  const ports = [port(3306, 3306, { name: 'mysql-db', appProtocol: 'mysql' })];
  const snapshot = snapshotOf({
    services: [service('shop', 'db', { clusterIPs: ['10.96.0.4'], ports })],
    pods: [pod('shop', 'db', { ip: '10.0.0.3', ports: [{ name: 'mysql', port: 3306 }] })],
    smi: [
      tcpRoute('shop', 'mysql', [3306]),
      target('shop', 'to-db', { to: 'db', from: ['web'], rules: [{ kind: 'TCPRoute', name: 'mysql' }] }),
    ],
  });
  return buildMesh(snapshot).value;
}

/** A server's TCP ports accept somebody else than its clients believe. */
function withOtherPeers(resources: XdsResources): XdsResources {
  const other = 'spiffe://cluster.local/ns/shop/sa/other' as ServiceIdentity;
  return { ...resources, peers: new Map([...resources.peers].map(([name]) => [name, [other]])) };
}

/** Takes from the routes into a workload what they say about access. */
function withoutRules(resources: XdsResources): XdsResources {
  const bare = ({
    typed_per_filter_config: _,
    virtual_hosts: hosts,
    ...rest
  }: RouteConfiguration): RouteConfiguration => ({
    ...rest,
    virtual_hosts: hosts.map(({ metadata: _metadata, ...host }) => host),
  });
  return { ...resources, routes: new Map([...resources.routes].map(([name, config]) => [name, bare(config)])) };
}

for (const { title, find } of envoys) {
  describe(title, function () {
    this.timeout(60_000);
    let mesh: EnvoyMesh;
    let adapt = (all: XdsResources): XdsResources => all;

    before(async function () {
      this.timeout(600_000);
      const found = find();
      if (!found) return this.skip();
      mesh = await startEnvoyMesh(found.program, undefined, (all) => adapt(all));
    });

    beforeEach(() => (adapt = (all) => all));
    after(() => mesh?.stop());

    /** Straight to the server's Envoy, so that the client's own refusal is not in the way, and through both. */
    const plainly = (loaded: LoadedMesh): Kept => openKept({ path: loaded.serverSockets('shop/cart', 80)[0] ?? '' });
    const through = (loaded: LoadedMesh): Kept => openKept(loaded.client('shop/web').loopback.locate('10.96.0.1', 80));

    async function serverTags(traceId: string): Promise<Record<string, string | undefined>> {
      const server = () => mesh.spans.get(traceId)?.find(({ kind }) => kind === 'server');
      await until(() => server() !== undefined);
      const attributes = server()?.attributes ?? [];
      return Object.fromEntries(
        ['verdict', 'reason', 'rule', 'shadow'].map((key) => [key, textOf(attributes, `tulle.${key}`)]),
      );
    }

    function toReason({ status, headers }: Answer): string {
      return `${status} ${String(headers['x-tulle-reason'] ?? '-')}`;
    }

    it('refuses everything where the routes lack their rules', async () => {
      adapt = withoutRules;
      const loaded = await mesh.load(modelOf('enforce', ['web']), ['shop/web']);
      for (const kept of [through(loaded), plainly(loaded)]) {
        const answer = await kept.get('/items');
        assert.equal(toReason(answer), '403 NoPolicy');
        assert.match(answer.body, /^RBAC: access denied\ntulle: NoPolicy: /);
        kept.close();
      }
    });

    it('tells each reason as the policy changes under an open connection', async () => {
      const loaded = await mesh.load(modelOf('enforce', ['web']), ['shop/web']);
      const [kept, plain] = [through(loaded), plainly(loaded)];
      assert.equal(toReason(await kept.get('/items')), '200 -');
      assert.equal(toReason(await kept.get('/other?x=/items')), '403 RequestNotAllowed');
      assert.equal(toReason(await plain.get('/items')), '403 PlaintextRefused');
      await loaded.change(modelOf('permissive', ['web']));
      assert.equal(toReason(await kept.get('/other')), '200 -');
      assert.equal(toReason(await plain.get('/items')), '200 -');
      await loaded.change(modelOf('enforce', ['web']));
      assert.equal(toReason(await kept.get('/other')), '403 RequestNotAllowed');
      assert.equal(kept.connections(), 1);
      assert.equal(plain.connections(), 1);
      kept.close();
      plain.close();
    });

    it('names the account, the trace and what to ask in the body', async () => {
      const loaded = await mesh.load(modelOf('enforce', ['web']), ['shop/web']);
      const [kept, plain] = [through(loaded), plainly(loaded)];
      const refused = await kept.get('/other?a=b');
      const call = `shop/web -> shop/cart:8080 GET /other\\?a=b; ask: tulle explain shop/web shop/cart:8080 GET '/other\\?a=b'`;
      const wanted = new RegExp(
        `\ntulle: RequestNotAllowed: ${call}; trace ${refused.traceId}: tulle suggest --trace `,
      );
      assert.match(refused.body, wanted);
      // A command that is pasted must not run what a caller wrote.
      const sly = await kept.get("/x';id;'");
      assert.match(sly.body, /ask: tulle explain shop\/web shop\/cart:8080 GET '\/\.\.\.'; trace/);
      assert.match(
        (await plain.get('/')).body,
        /: unknown -> shop\/cart:8080 GET \/; ask: tulle explain - shop\/cart:8080 /,
      );
      kept.close();
      plain.close();
    });

    it('writes rule, verdict and reason into the span of the server’s side', async () => {
      const loaded = await mesh.load(modelOf('enforce', ['web'], true), ['shop/web']);
      const kept = through(loaded);
      const [allowed, refused] = [await kept.get('/items'), await kept.get('/other')];
      const shadow = 'shop/all-of-cart';
      assert.deepEqual(await serverTags(allowed.traceId), {
        verdict: 'allowed',
        reason: undefined,
        rule: 'shop/to-cart',
        shadow,
      });
      assert.deepEqual(await serverTags(refused.traceId), {
        verdict: 'denied',
        reason: 'RequestNotAllowed',
        rule: undefined,
        shadow,
      });
      kept.close();
    });

    it('logs at the server’s side whom a TCP port refuses, and whom it lets in', async () => {
      const log = (verdict: string) =>
        mesh
          .logs()
          .split('\n')
          .find((line) => line.includes('"direction":"inbound"') && line.includes(verdict));
      const dial = async (loaded: LoadedMesh): Promise<void> => {
        const socket = connect(loaded.client('shop/web').loopback.locate('10.96.0.4', 3306));
        socket.on('error', () => undefined);
        socket.end('hello');
        socket.resume();
        await new Promise((resolve) => socket.once('close', resolve));
      };
      await dial(await mesh.load(databaseModel(), ['shop/web']));
      await until(() => log('"verdict":"allowed"') !== undefined);
      assert.equal(log('"verdict":"denied"'), undefined);
      adapt = withOtherPeers;
      await dial(await mesh.load(databaseModel(), ['shop/web']));
      await until(() => log('"verdict":"denied"') !== undefined);
      const { reason, peer, service: called } = JSON.parse(log('"verdict":"denied"') ?? '') as Record<string, string>;
      const web = 'spiffe://cluster.local/ns/shop/sa/web';
      assert.deepEqual([reason, peer, called], ['SourceNotAllowed', web, 'shop/db:3306']);
    });

    for (const mode of ['permissive', 'shadow'] as const) {
      it(`serves in mode ${mode}, and writes down what would have been refused`, async () => {
        const loaded = await mesh.load(modelOf(mode, ['web']), ['shop/web']);
        const kept = through(loaded);
        const [allowed, other] = [await kept.get('/items'), await kept.get('/other')];
        assert.deepEqual([toReason(allowed), toReason(other)], ['200 -', '200 -']);
        const nothing = { reason: undefined, rule: undefined, shadow: undefined };
        assert.deepEqual(await serverTags(allowed.traceId), { ...nothing, verdict: 'allowed', rule: 'shop/to-cart' });
        const would = { ...nothing, verdict: 'would-deny', reason: 'RequestNotAllowed' };
        assert.deepEqual(await serverTags(other.traceId), would);
        await loaded.change(modelOf(mode, []));
        assert.equal((await serverTags((await kept.get('/items')).traceId))['reason'], 'NoTarget');
        await loaded.change(modelOf(mode, ['other']));
        assert.equal((await serverTags((await kept.get('/items')).traceId))['reason'], 'SourceNotAllowed');
        kept.close();
      });
    }
  });
}
