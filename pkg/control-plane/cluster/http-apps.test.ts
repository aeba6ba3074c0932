import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLogger } from '../../observability/logger.ts';
import { Metrics } from '../../observability/metrics.ts';
import type { Span } from '../../observability/span.ts';
import { toServiceIdentity, type TrustDomain } from '../../policy/identity.ts';
import type { Authentication } from '../../xds/ads-server.ts';
import type { AuthenticatePod } from './authenticate-pod.ts';
import { createHealthApp } from './health-app.ts';
import { createSpanReporters, guardOtlp } from './otlp-guard.ts';

const toTags = (record: Record<string, string>): Span['attributes'] =>
  Object.entries(record).map(([key, value]) => ({ key, type: 'string', value }));

describe('what is served over HTTP in a cluster', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  async function listen(app: RequestListener): Promise<string> {
    server = createServer(app);
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  describe('health', () => {
    it('is ready when nothing is missing, says what is, and is alive in any case', async () => {
      const missing = ['the cluster has not been read yet'];
      const version = { version: '1.2.3', commit: 'abc', built: '2026-11-21T15:00:00Z' };
      const app = createHealthApp({ missing: () => missing, metrics: new Metrics(), version });
      const base = await listen(app);
      const get = async (path: string): Promise<[number, string]> => {
        const response = await fetch(base + path);
        return [response.status, await response.text()];
      };

      assert.deepEqual(await get('/health/ready'), [503, 'not ready: the cluster has not been read yet\n']);
      assert.equal((await get('/health/alive'))[0], 200);
      missing.pop();
      assert.deepEqual(await get('/health/ready'), [200, 'Health OK\n']);

      const told = { version: '1.2.3', git_commit: 'abc', build_date: '2026-11-21T15:00:00Z' };
      assert.deepEqual(JSON.parse((await get('/version'))[1]), told);
      const smi = JSON.parse((await get('/smi/version'))[1]) as Record<string, string>;
      assert.deepEqual(Object.keys(smi).sort(), ['HTTPRouteGroup', 'TCPRoute', 'TrafficSplit', 'TrafficTarget']);
      assert.equal((await get('/metrics'))[0], 200);
      for (const path of ['/', '/constructor', '/health', '//x']) assert.equal((await get(path))[0], 404, path);
      assert.equal((await fetch(`${base}/health/alive`, { method: 'POST' })).status, 405);
    });

    it('takes any target that HTTP lets through', async () => {
      const base = await listen(
        createHealthApp({ missing: () => [], metrics: new Metrics(), version: { version: '1.2.3' } }),
      );
      const { hostname, port } = new URL(base);
      const statusOf = (path: string): Promise<number | undefined> =>
        new Promise((resolve, reject) => {
          const asked = request({ hostname, port, path }, (response) => resolve(response.resume().statusCode));
          asked.on('error', reject).end();
        });
      for (const path of ['//', '//[', 'http://[', '*', '/health/alive#?'])
        assert.equal(await statusOf(path), 404, path);
      assert.equal(await statusOf('/health/alive?//'), 200);
    });
  });

  describe('the receiver of spans', () => {
    it('takes what comes with a good token, and nothing else', async () => {
      const lines: string[] = [];
      const log = createLogger({ level: 'debug', component: 'test', write: (line) => lines.push(line) });
      const metrics = new Metrics();
      const taken: string[] = [];
      const authenticate: AuthenticatePod = ({ token, peer }) => {
        if (token === 'broken') return Promise.reject(new Error('x'));
        const identity = toServiceIdentity('x' as TrustDomain, { namespace: 'shop', name: 'web' });
        return Promise.resolve<Authentication>(
          token === 'secret-of-web' && peer === '127.0.0.1'
            ? { ok: true, client: { identity } }
            : { ok: false, reason: token === undefined ? 'no bearer token' : 'the token has expired' },
        );
      };
      const app: RequestListener = (request, response) => {
        request.on('data', (chunk: Buffer) => taken.push(chunk.toString()));
        request.on('end', () => response.end());
      };
      const base = await listen(
        guardOtlp({ app, authenticate, reporters: createSpanReporters(), log, metrics, now: () => 0 }),
      );
      const post = async (authorization?: string): Promise<number> => {
        const headers = authorization === undefined ? {} : { authorization };
        return (await fetch(base, { method: 'POST', body: 'spans', headers })).status;
      };

      assert.equal(await post('Bearer secret-of-web'), 200);
      for (let i = 0; i < 5; i++) assert.equal(await post('Bearer stale-secret'), 401);
      assert.equal(await post(), 401);
      assert.equal(await post('Basic secret-of-web'), 401);
      assert.equal(await post('Bearer broken'), 503);
      assert.deepEqual(taken, ['spans']);

      assert.match(metrics.render(), /tulle_otlp_refused_total 8/);
      assert.equal(lines.length, 3, 'each reason once');
      assert.ok(lines.every((line) => !line.includes('secret')));
    });

    it('takes what another replica hands on, and only from one', async () => {
      const log = createLogger({ level: 'debug', component: 'test', write: () => undefined });
      const identityOf = (name: string) => toServiceIdentity('x' as TrustDomain, { namespace: 'tulle-system', name });
      const took: string[] = [];
      const note = (what: string): RequestListener => {
        return (_request, response) => {
          took.push(what);
          response.end();
        };
      };
      const base = await listen(
        guardOtlp({
          app: note('exported'),
          relayed: { app: note('relayed'), from: (identity) => identity === identityOf('tulle-controller') },
          authenticate: ({ token = '' }) => Promise.resolve({ ok: true, client: { identity: identityOf(token) } }),
          reporters: createSpanReporters(),
          ...{ log, metrics: new Metrics(), now: () => 0 },
        }),
      );
      const post = async (token: string, headers: Record<string, string>): Promise<number> =>
        (await fetch(base, { method: 'POST', headers: { ...headers, authorization: `Bearer ${token}` } })).status;
      assert.equal(await post('tulle-controller', { 'tulle-relay': '1' }), 200);
      assert.equal(await post('web', { 'tulle-relay': '1' }), 403);
      assert.equal(await post('web', { 'tulle-relay': '' }), 403);
      assert.equal(await post('web', {}), 200);
      assert.deepEqual(took, ['relayed', 'exported']);
    });

    it('lets a pod tell of its own calls, and not of those of others', () => {
      const reporters = createSpanReporters();
      const request = {} as IncomingMessage;
      const identity = toServiceIdentity('x' as TrustDomain, { namespace: 'shop', name: 'web' });
      const span = (attributes: Record<string, string>, pod = 'web-1'): Span =>
        ({
          attributes: toTags(attributes),
          resource: { attributes: toTags({ 'service.namespace': 'shop', 'k8s.pod.name': pod }) },
        }) as unknown as Span;
      const call = { 'tulle.direction': 'outbound', 'tulle.source': 'shop/web', 'tulle.destination': 'shop/cart' };
      assert.equal(reporters.mayReport(span(call), request), false, 'nobody is known to have sent it');
      reporters.note(request, { identity, pod: 'shop/web-1' });
      assert.equal(reporters.mayReport(span(call), request), true);
      assert.equal(reporters.mayReport(span({ ...call, 'tulle.source': 'bank/teller' }), request), false);
      assert.equal(reporters.mayReport(span({ ...call, 'tulle.direction': 'inbound' }), request), false);
      const inbound = { 'tulle.direction': 'inbound', 'tulle.source': 'bank/teller', 'tulle.destination': 'shop/web' };
      assert.equal(reporters.mayReport(span(inbound), request), true);
      assert.equal(reporters.mayReport(span(call, 'cart-7'), request), false);
      assert.equal(reporters.mayReport(span({ 'http.route': '/' }), request), true);
    });
  });
});
