import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { get as getHttps, request as requestHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { type ControllerConfig, decodeControllerConfig } from '../../pkg/control-plane/config.ts';
import { runController, type RunningController } from '../../pkg/control-plane/run-controller.ts';
import { createLogger } from '../../pkg/observability/logger.ts';
import { createAdsClient } from '../../pkg/xds/ads-client.ts';
import { secretType, tulleTypes } from '../../pkg/xds/resources.ts';
import { type ApiServer, missingForApiServer, startApiServer } from '../support/api-server.ts';
import { type KubernetesApi, openKubernetesApi } from '../support/kubernetes-api.ts';

const system = 'tulle-system';
const serverName = `tulle-controller.${system}.svc`;
const webhooks = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';

/** What a replica is told that others are not. */
interface Replica {
  readonly verifyPeerAddress: boolean;
  readonly tokenFile: string;
  readonly otlpForward: string;
}

interface Workload {
  readonly name: string;
  readonly account: string;
}

/** An address that other machines could reach us at: the API server takes no loopback as an endpoint. */
function ownAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

/** A controller in this process, on a real API server that runs no pods: their addresses are what the test says. */
describe('a controller in a cluster', function () {
  this.timeout(60_000);
  let server: ApiServer;
  let api: KubernetesApi;
  let folder: string;
  let count = 0;
  const running: { controller: RunningController; end: AbortController; logs: Record<string, unknown>[] }[] = [];

  before(async function () {
    this.timeout(180_000);
    if (missingForApiServer.length > 0) this.skip();
    server = await startApiServer();
    api = openKubernetesApi(server.kubeconfig);
    folder = await mkdtemp('/tmp/tulle-cluster-');
    await api.call('POST', '/api/v1/namespaces', { metadata: { name: system } });
    const webhook = {
      name: 'inject.tulle.dev',
      admissionReviewVersions: ['v1'],
      sideEffects: 'NoneOnDryRun',
      clientConfig: { service: { namespace: system, name: 'tulle-controller', port: 9090 } },
    };
    await api.call('POST', webhooks, { metadata: { name: 'tulle-injector-osm' }, webhooks: [webhook] });
  });
  after(async () => {
    api?.close();
    await server?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });
  afterEach(async () => {
    for (const { end } of running) end.abort();
    await Promise.all(running.map(({ controller }) => controller.done));
    running.length = 0;
  });

  function toConfig(more: Partial<Replica> = {}): ControllerConfig {
    const mesh = { mode: 'permissive', modeFrom: 'default', pathMatch: 'full', trustDomain: 'cluster.local' } as const;
    return decodeControllerConfig(
      JSON.stringify({
        id: 'osm',
        inputs: [],
        mesh: { ...mesh, egress: 'allow', tracing: { sampling: 1 } },
        isolation: 'cluster',
        kubernetes: {
          ...{ namespace: system, meshName: 'osm', service: 'tulle-controller', kubeconfig: server.kubeconfig },
          ...{ xdsPort: 0, otlpPort: 0, webhookPort: 0, healthPort: 0, caSecret: 'tulle-ca', caManaged: true },
          ...{ webhookConfiguration: 'tulle-injector-osm', meshConfig: 'osm-mesh-config', lease: 'tulle-controller' },
          injection: { sidecarImage: 'sidecar:1' },
          ...(more.tokenFile === undefined ? {} : { tokenFile: more.tokenFile }),
          ...(more.verifyPeerAddress === undefined ? {} : { verifyPeerAddress: more.verifyPeerAddress }),
        },
        apiPort: 0,
        ...(more.otlpForward === undefined ? {} : { otlpForward: more.otlpForward }),
        protosFile: resolve('build/protos.json'),
      }),
    );
  }

  async function start(more: Partial<Replica> = {}): Promise<(typeof running)[number]> {
    const end = new AbortController();
    const logs: Record<string, unknown>[] = [];
    const write = (line: string): void => void logs.push(JSON.parse(line) as Record<string, unknown>);
    const log = createLogger({ level: 'debug', component: 'test', write });
    const controller = await runController(toConfig(more), { log }, end.signal);
    const entry = { controller, end, logs };
    running.push(entry);
    await until(async () => (await health(controller, 'ready')) === 200);
    return entry;
  }

  async function health({ ports }: RunningController, what: string): Promise<number> {
    return (await fetch(`http://127.0.0.1:${ports?.health}/health/${what}`)).status;
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error(`never came true: ${condition.toString()}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  const metadataOf = async (path: string) => (await api.find(path))?.metadata;
  const trustPath = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps/tulle-trust`;

  async function makeNamespace(): Promise<string> {
    const name = `shop-${(count += 1)}`;
    const metadata = { name, labels: { 'openservicemesh.io/monitored-by': 'osm' } };
    await api.call('POST', '/api/v1/namespaces', { metadata });
    await api.call('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'web' } });
    return name;
  }

  const web: Workload = { name: 'web-0', account: 'web' };

  /** A pod as the injector leaves it, running at an address; gives its uid. */
  async function makePod(namespace: string, ip: string, { name, account } = web): Promise<string> {
    const containers = [{ name: 'envoy', image: 'envoy:1' }];
    const metadata = { name, annotations: { 'tulle.dev/injected': '1' } };
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const pod = await api.call('POST', path, { metadata, spec: { serviceAccountName: account, containers } });
    const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }] };
    await api.call('PATCH', `${path}/${name}/status`, { status }, 'application/merge-patch+json');
    return pod.metadata.uid ?? '';
  }

  async function makeToken(
    namespace: string,
    uid: string,
    audience = 'tulle',
    { name, account } = web,
  ): Promise<string> {
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid };
    const spec = { audiences: [audience], expirationSeconds: 600, boundObjectRef };
    const answer = await api.call('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, { spec });
    return (answer['status'] as { token: string }).token;
  }

  /** What the cluster makes of the control plane's Service: here a slice for each replica, for each has ports of its own. */
  async function makeSlice(pod: string, address: string, port: number): Promise<void> {
    await api.call('POST', `/apis/discovery.k8s.io/v1/namespaces/${system}/endpointslices`, {
      metadata: { name: pod, labels: { 'kubernetes.io/service-name': 'tulle-controller' } },
      addressType: 'IPv4',
      endpoints: [
        { addresses: [address], conditions: { ready: true }, targetRef: { kind: 'Pod', namespace: system, name: pod } },
      ],
      ports: [{ name: 'otlp', port, protocol: 'TCP' }],
    });
  }

  interface Exported {
    readonly token: string;
    readonly trace?: string;
    readonly name?: string;
    readonly host?: string;
    readonly relayed?: boolean;
  }

  /** Sends one span as a sidecar does; gives the status of the answer. */
  function exportSpans({ ports }: RunningController, ca: string, exported: Exported): Promise<number | undefined> {
    const { token, trace = '1'.repeat(32), name = 'call', host = '127.0.0.1', relayed = false } = exported;
    const spanId = randomBytes(8).toString('hex');
    const at = `${Date.now()}000000`;
    const span = { traceId: trace, spanId, name, startTimeUnixNano: at, endTimeUnixNano: at };
    return new Promise((done, fail) => {
      const headers = {
        'content-type': 'application/json',
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(relayed ? { 'tulle-relay': '1' } : {}),
      };
      const options = { host, port: ports?.otlp, path: '/v1/traces', method: 'POST' };
      const request = requestHttps({ ...options, headers, ca, servername: serverName }, (answer) => {
        answer.resume();
        done(answer.statusCode);
      });
      request.on('error', fail);
      request.end(JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }));
    });
  }

  const deletePod = (namespace: string) =>
    api.call('DELETE', `/api/v1/namespaces/${namespace}/pods/web-0`, { gracePeriodSeconds: 0 });
  const roots = async (namespace: string): Promise<string> =>
    ((await api.get(trustPath(namespace)))['data'] as Record<string, string>)['roots.pem'] ?? '';

  /** A sidecar of ours in place of Envoy: why it was disconnected last, and how much it was sent. */
  function connect({ ports }: RunningController, ca: string, token: string) {
    const end = new AbortController();
    const seen = { received: 0, reason: '' };
    const { done } = createAdsClient({
      address: `127.0.0.1:${ports?.xds}`,
      ca: () => Buffer.from(ca),
      serverName,
      token: () => token,
      node: { id: 'x', userAgent: 'tulle-test/1' },
      types: [{ typeUrl: secretType, names: ['identity'] }, { typeUrl: tulleTypes.settings }],
      onUpdate: (_type, { changed }) => void (seen.received += changed.length),
      onState: (state) => {
        if (state.kind === 'disconnected') seen.reason = state.reason;
      },
      signal: end.signal,
    });
    return { seen, close: () => (end.abort(), done) };
  }

  it('is ready when it serves and the API server trusts its webhook', async () => {
    const { controller } = await start();
    const namespace = await makeNamespace();
    await until(async () => (await metadataOf(trustPath(namespace))) !== undefined);

    const configuration = await api.get(`${webhooks}/tulle-injector-osm`);
    const [webhook] = configuration['webhooks'] as { clientConfig: { caBundle: string } }[];
    const ca = Buffer.from(webhook?.clientConfig.caBundle ?? '', 'base64').toString();
    assert.equal(ca, await roots(namespace));
    const status = await new Promise((done, fail) => {
      const options = { host: '127.0.0.1', port: controller.ports?.webhook, ca, servername: serverName };
      getHttps({ ...options, path: '/', minVersion: 'TLSv1.3' }, (answer) => done(answer.statusCode)).on('error', fail);
    });
    assert.equal(status, 404);
    assert.equal(await health(controller, 'alive'), 200);
  });

  it('serves a pod by its token, and ends with the pod', async () => {
    const { controller, logs } = await start();
    const namespace = await makeNamespace();
    const token = await makeToken(namespace, await makePod(namespace, '127.0.0.1'));
    await until(async () => (await metadataOf(trustPath(namespace))) !== undefined);
    const client = connect(controller, await roots(namespace), token);
    await until(() => client.seen.received >= 2);

    await deletePod(namespace);
    await until(() => /pod shop-\d+\/web-0 is gone/.test(client.seen.reason));
    await client.close();
    // One of the same name and account is another pod.
    await makePod(namespace, '127.0.0.1');
    const again = connect(controller, await roots(namespace), token);
    await until(() => /token is of an earlier pod/.test(again.seen.reason));
    assert.equal(again.seen.received, 0);
    await again.close();
    assert.ok(!JSON.stringify(logs).includes(token.slice(-40)), 'no token in the log');
  });

  it('refuses tokens that are meant for others, made up, or sent from elsewhere, and says why', async () => {
    const { controller, logs } = await start();
    const [near, far] = [await makeNamespace(), await makeNamespace()];
    const uid = await makePod(near, '127.0.0.1');
    const farToken = await makeToken(far, await makePod(far, '10.9.9.9'));
    await until(async () => (await metadataOf(trustPath(near))) !== undefined);
    const good = await makeToken(near, uid);
    const tokens: readonly [string, RegExp][] = [
      ['', /no bearer token/],
      [`${good.slice(0, -20)}${'A'.repeat(20)}`, /signature of the token is wrong/],
      [await makeToken(near, uid, 'https://kubernetes.default.svc.cluster.local'), /claim aud/],
      [farToken, /token of pod .* \(10\.9\.9\.9\) came from 127\.0\.0\.1/],
    ];
    for (const [token, reason] of tokens) {
      const client = connect(controller, await roots(near), token);
      await until(() => reason.test(client.seen.reason));
      assert.equal(client.seen.received, 0);
      await client.close();
      assert.ok(logs.some((line) => line['message'] === 'ADS client refused' && reason.test(String(line['reason']))));
    }
  });

  it('names the switch when pods are refused for nothing but their addresses, and serves them where it is off', async () => {
    const namespace = await makeNamespace();
    const pods = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => {
        const workload = { name, account: 'web' };
        return makeToken(namespace, await makePod(namespace, '10.9.9.9', workload), 'tulle', workload);
      }),
    );
    const strict = await start();
    await until(async () => (await metadataOf(trustPath(namespace))) !== undefined);
    const ca = await roots(namespace);
    for (const token of pods) {
      const client = connect(strict.controller, ca, token);
      await until(() => /came from 127\.0\.0\.1/.test(client.seen.reason));
      await client.close();
    }
    await until(() => strict.logs.some(({ fix }) => /controller\.verifyPeerAddress=false/.test(String(fix))));

    const lenient = await start({ verifyPeerAddress: false });
    const client = connect(lenient.controller, ca, pods[0] ?? '');
    await until(() => client.seen.received >= 2);
    await client.close();
    assert.ok(lenient.logs.some(({ message }) => message === 'tokens of pods count from any address'));
  });

  it('takes spans with the same tokens, over the same TLS', async () => {
    const { controller } = await start();
    const namespace = await makeNamespace();
    const token = await makeToken(namespace, await makePod(namespace, '127.0.0.1'));
    await until(async () => (await metadataOf(trustPath(namespace))) !== undefined);
    const ca = await roots(namespace);
    const post = (sent: string): Promise<number | undefined> => exportSpans(controller, ca, { token: sent });

    assert.equal(await post(''), 401);
    assert.equal(await post(token), 200);
    await deletePod(namespace);
    await until(async () => (await post(token)) === 401);
  });

  it('has the spans of a trace on every replica, whichever they were sent to, once each', async function () {
    const host = ownAddress();
    if (host === undefined) this.skip();
    const collected: string[] = [];
    const collector = createServer((request, response) => {
      request.on('data', (chunk: Buffer) => collected.push(chunk.toString()));
      request.on('end', () => response.end());
    });
    await new Promise<void>((done) => collector.listen(0, '127.0.0.1', done));
    const otlpForward = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    await api.call('POST', `/api/v1/namespaces/${system}/serviceaccounts`, { metadata: { name: 'tulle-controller' } });
    const replicas = await Promise.all(
      ['one', 'two', 'three'].map(async (which) => {
        const workload = { name: `tulle-controller-${which}`, account: 'tulle-controller' };
        const uid = await makePod(system, host, workload);
        const token = await makeToken(system, uid, 'tulle', workload);
        const tokenFile = join(folder, which);
        await writeFile(tokenFile, `${token}\n`, { mode: 0o600 });
        const entry = await start({ tokenFile, otlpForward });
        await makeSlice(workload.name, host, entry.controller.ports?.otlp ?? 0);
        return { ...entry, token };
      }),
    );
    const [one = assert.fail(), two = assert.fail()] = replicas;
    const namespace = await makeNamespace();
    const token = await makeToken(namespace, await makePod(namespace, '127.0.0.1'));
    await until(async () => (await metadataOf(trustPath(namespace))) !== undefined);
    const ca = await roots(namespace);
    const traceOf = async ({ controller }: typeof one, trace: string): Promise<readonly string[]> => {
      const response = await fetch(`http://127.0.0.1:${controller.apiPort}/api/traces/${trace}`);
      if (response.status !== 200) return [];
      const { data } = (await response.json()) as { data: { spans: { operationName: string }[] }[] };
      return data.flatMap(({ spans }) => spans.map(({ operationName }) => operationName)).sort();
    };

    // A replica is known to the others somewhat after it is ready.
    let tries = 0;
    await until(async () => {
      const trace = `${(tries += 1)}`.padStart(32, 'f');
      for (const { controller } of replicas) {
        const name = `to ${controller.ports?.otlp}`;
        assert.equal(await exportSpans(controller, ca, { token, trace, name }), 200);
      }
      await new Promise((done) => setTimeout(done, 200));
      const found = await Promise.all(replicas.map((replica) => traceOf(replica, trace)));
      return found.every((names) => names.length === replicas.length);
    });
    const trace = 'a'.repeat(32);
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    for (const [i, name] of names.entries()) {
      const { controller } = replicas[i % replicas.length] ?? one;
      assert.equal(await exportSpans(controller, ca, { token, trace, name }), 200);
    }
    for (const replica of replicas) {
      await until(async () => (await traceOf(replica, trace)).length >= names.length);
      assert.deepEqual(await traceOf(replica, trace), names);
    }
    await until(() => names.every((name) => collected.some((body) => body.includes(`"name":"${name}"`))));
    for (const name of names) {
      assert.equal(collected.filter((body) => body.includes(`"name":"${name}"`)).length, 1, 'collected once');
    }

    // Nobody else hands spans on, not even with a good token, and not a replica's token from elsewhere.
    const forged = { trace: 'b'.repeat(32), name: 'forged', relayed: true };
    assert.equal(await exportSpans(one.controller, ca, { token, ...forged }), 403);
    assert.equal(await exportSpans(one.controller, ca, { token: two.token, ...forged }), 401);
    assert.equal(await exportSpans(one.controller, ca, { token: two.token, ...forged, host }), 200);
    assert.deepEqual(await traceOf(one, forged.trace), ['forged']);
    assert.deepEqual(await traceOf(two, forged.trace), [], 'handed on once');
    assert.ok(!collected.some((body) => body.includes('forged')));
    const metrics = await (await fetch(`http://127.0.0.1:${two.controller.ports?.health}/metrics`)).text();
    assert.match(metrics, /^tulle_otlp_relayed_total [1-9]/m);
    assert.match(metrics, /^tulle_watch_synced\{resource="pods"\} 1$/m);
    const lease = await api.get(`/apis/coordination.k8s.io/v1/namespaces/${system}/leases/tulle-controller`);
    const { ownerReferences } = lease.metadata as { ownerReferences?: { kind: string; name: string }[] };
    assert.deepEqual(
      ownerReferences?.map(({ kind, name }) => [kind, name]),
      [['ServiceAccount', 'tulle-controller']],
    );
    await new Promise((done) => collector.close(done));
    for (const { controller } of replicas) assert.equal(await health(controller, 'alive'), 200);
    for (const which of ['one', 'two', 'three']) {
      const path = `/apis/discovery.k8s.io/v1/namespaces/${system}/endpointslices/tulle-controller-${which}`;
      await api.call('DELETE', path);
    }
  });

  it('keeps the roots in meshed namespaces, whoever deletes or changes them, and takes them away afterwards', async () => {
    await start();
    const namespace = await makeNamespace();
    const path = trustPath(namespace);
    await until(async () => (await metadataOf(path)) !== undefined);
    const good = await roots(namespace);

    await api.call('DELETE', path);
    await until(async () => (await metadataOf(path)) !== undefined);
    await api.call('PATCH', path, { data: { 'roots.pem': 'others' } }, 'application/merge-patch+json');
    await until(async () => (await roots(namespace)) === good);

    const labels = { 'openservicemesh.io/monitored-by': null };
    await makePod(namespace, '127.0.0.1');
    await api.call(
      'PATCH',
      `/api/v1/namespaces/${namespace}`,
      { metadata: { labels } },
      'application/merge-patch+json',
    );
    await api.call('DELETE', path);
    // Its pods still mount them.
    await until(async () => (await metadataOf(path)) !== undefined);
    await deletePod(namespace);
    await until(async () => (await metadataOf(path)) === undefined);
  });

  it('shares one root among replicas; one writes, and another goes on when it stops', async () => {
    const [one, two] = await Promise.all([start(), start()]);
    const leaderOf = async () =>
      (
        (await api.get(`/apis/coordination.k8s.io/v1/namespaces/${system}/leases/tulle-controller`))['spec'] as {
          holderIdentity: string;
        }
      ).holderIdentity;
    const leads = ({ logs }: typeof one): boolean =>
      logs.some(({ message }) => message === 'this replica writes from now on');
    await until(() => leads(one) || leads(two));
    assert.ok(!(leads(one) && leads(two)));
    const [leader, other] = leads(one) ? [one, two] : [two, one];
    const before = await leaderOf();

    const started = performance.now();
    leader.end.abort();
    await leader.controller.done;
    assert.ok(performance.now() - started < 5_000);
    await until(() => leads(other));
    await until(async () => (await leaderOf()) !== before);

    const namespace = await makeNamespace();
    await until(async () => (await metadataOf(trustPath(namespace))) !== undefined);
    const token = await makeToken(namespace, await makePod(namespace, '127.0.0.1'));
    const client = connect(other.controller, await roots(namespace), token);
    await until(() => client.seen.received >= 2);
    other.end.abort();
    await until(() => /UNAVAILABLE/.test(client.seen.reason));
    await client.close();
  });
});
