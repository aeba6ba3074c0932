import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRoot } from '../certs/certificate.ts';
import { startHttpPair } from '../../test/support/http-pair.ts';
import type { HttpPair } from '../../test/support/http-pair.ts';
import { readAll } from '../../test/support/sidecar-mesh.ts';

describe('certificates, shutdown and the admin API', () => {
  let pair: HttpPair;
  beforeEach(async () => {
    pair = await startHttpPair({ server: { drainMillis: 3_000 } });
  });
  afterEach(() => pair.stop());

  async function get(
    agent: Agent,
    path = '/',
  ): Promise<{ status: number; body: string; headers: IncomingMessage['headers'] }> {
    const req = request({ port: pair.port(), agent, path, headers: { host: 'cart.shop' } }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    return { status: res.statusCode ?? 0, headers: res.headers, body: await readAll(res) };
  }

  it('rotates leaves and roots under load without one failed request', async () => {
    const { client, server, mesh } = pair;
    const next = createRoot('next', { from: Date.now(), lifetime: 86_400_000 });
    const both = `${mesh.root.certificate}${next.certificate}`;
    const agents = [new Agent({ keepAlive: true }), new Agent({ keepAlive: false })];
    let running = true;
    let calls = 0;
    const failures: unknown[] = [];
    const load = agents.map(async (agent) => {
      while (running) {
        const { status } = await get(agent).catch((error: unknown) => ({ status: String(error) }));
        if (status !== 200) failures.push(status);
        calls += 1;
      }
    });
    const after = async (more: number): Promise<void> => {
      const goal = calls + more;
      while (calls < goal) await new Promise((resolve) => setImmediate(resolve));
    };
    for (const step of [
      () => [client, server].forEach((sidecar) => sidecar.renew()),
      () => [client, server].forEach((sidecar) => sidecar.renew(mesh.root, both)),
      () => [client, server].forEach((sidecar) => sidecar.renew(next, both)),
      () => [client, server].forEach((sidecar) => sidecar.renew(next, next.certificate)),
    ]) {
      await after(20);
      step();
    }
    await after(20);
    running = false;
    await Promise.all(load);
    for (const agent of agents) agent.destroy();
    assert.deepEqual(failures, []);
  });

  it('keeps the old certificate when the new one is unusable', async () => {
    const agent = new Agent({ keepAlive: false });
    assert.equal((await get(agent)).status, 200);
    const other = createRoot('other', { from: Date.now(), lifetime: 1_000 });
    assert.throws(() => pair.server.renew({ ...other, privateKey: 'junk' }));
    assert.equal((await get(agent)).status, 200);
  });

  it('drains: answers what is under way, ends kept-alive connections, takes no new ones', async () => {
    let answer: ServerResponse | undefined;
    const arrived = new Promise<void>((resolve) => {
      pair.handler = (_req, res) => {
        answer = res;
        resolve();
      };
    });
    const agent = new Agent({ keepAlive: true });
    const slow = get(agent);
    await arrived;
    const stopped = pair.server.stop();
    const refused = await get(agent);
    assert.equal(refused.status, 503);
    answer?.end('late');
    assert.equal((await slow).body, 'late');
    await stopped;
    agent.destroy();
  });

  async function admin(method: string, path: string): Promise<{ status: number; body: string }> {
    const req = request({ socketPath: pair.client.admin, method, path }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    return { status: res.statusCode ?? 0, body: await readAll(res) };
  }

  it('shows readiness, policy, ports and counts', async () => {
    const agent = new Agent({ keepAlive: false });
    await get(agent);
    pair.server.setRules([]);
    await get(agent);
    assert.deepEqual(await admin('GET', '/healthz'), { status: 200, body: 'ok\n' });
    assert.deepEqual(await admin('GET', '/ready'), { status: 200, body: 'ready\n' });
    assert.match((await admin('GET', '/policy')).body, /"key": "shop\/cart:80"/);
    assert.match((await admin('GET', '/listeners')).body, /"address": "10\.96\.0\.81:80"/);
    const { body } = await admin('GET', '/stats');
    assert.match(
      body,
      /tulle_requests_total\{direction="outbound",source="shop\/web",service="shop\/cart:80",backend="cart",code="200",verdict="allowed",reason=""\} 1/,
    );
    assert.match(body, /tulle_requests_total\{direction="outbound",.*code="403",.*\} 1/);
    assert.match(body, /tulle_request_duration_seconds_count/);
    assert.match(body, /tulle_spans\{state="lost"\} 0/);
    assert.equal((await admin('GET', '/nothing')).status, 404);
    assert.equal((await admin('POST', '/drain')).status, 200);
    assert.equal((await admin('GET', '/ready')).status, 503);
  });

  it('is not ready without a policy or certificates', async () => {
    const bare = await pair.mesh.start({ namespace: 'shop', account: 'new', bare: true });
    assert.match(String(bare.notReady()), /no certificate/);
    bare.renew();
    assert.match(String(bare.notReady()), /no policy/);
  });

  it('leaves out an endpoint that is dead, and takes it back', async () => {
    const { client, server, mesh } = pair;
    const key = 'shop/cart:80';
    const dead = mesh.endpointOf(server, 8080, {
      address: { kind: 'pipe', path: `${mesh.dir}/nobody.sock` },
      pod: 'shop/dead',
    });
    client.push('endpoints', { [key]: { key, endpoints: [dead, mesh.endpointOf(server, 8080)] } });
    const agent = new Agent({ keepAlive: false });
    for (let i = 0; i < 10; i++) assert.equal((await get(agent)).status, 200);
    assert.match((await admin('GET', '/stats')).body, /tulle_endpoints_ejected 1/);
    client.push('endpoints', { [key]: { key, endpoints: [dead] } });
    const { status, body } = await get(agent);
    assert.equal(status, 503);
    assert.match(body, /^tulle: Unavailable: could not connect/);
  });

  it('answers 403 itself for a service out of reach', async () => {
    pair.client.push('outbound', {}, ['shop/cart:80']);
    const { status, headers, body } = await get(new Agent(), '/a?b');
    assert.equal(status, 403);
    assert.equal(headers['x-tulle-reason'], 'SourceNotAllowed');
    assert.match(body, /shop\/web -> shop\/cart:80 GET \/a/);
  });
});
