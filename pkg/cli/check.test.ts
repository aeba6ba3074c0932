import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed, makeCaBundle, wellMesh } from './check.fixture.ts';
import type { CliContext } from './context.ts';
import { type FakeCluster, type FakeObject, failure, startFakeCluster } from './fake-cluster.fixture.ts';
import { type Ran, runTulle } from './run-tulle.fixture.ts';

describe('tulle check', function () {
  this.timeout(60_000);
  let cwd = '';
  let caBundle = '';
  let cluster: FakeCluster;
  let controller: Server;
  /** What the clients of the trial see. */
  let seen: Record<string, number> = {};
  let mesh: Record<string, unknown> = {};
  /** How the pod fares whose gate nobody opens. */
  let gate: object = {};

  before(async () => {
    cwd = mkdtempSync(join(tmpdir(), 't-'));
    caBundle = makeCaBundle(cwd);
    controller = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://fake');
      response.end(JSON.stringify(pathname === '/api/requests' ? recorded() : mesh));
    });
    await new Promise<void>((resolve) => controller.listen(0, '127.0.0.1', resolve));
  });
  after(() => {
    controller.close();
    rmSync(cwd, { recursive: true });
  });
  beforeEach(async () => {
    cluster = await startFakeCluster(installed(caBundle));
    writeFileSync(join(cwd, 'config'), cluster.kubeconfig());
    cluster.forwards.set('tulle-system/tulle-controller-1:9092', (controller.address() as AddressInfo).port);
    seen = { allowed: 200, denied: 403 };
    mesh = wellMesh;
    cluster.intercept = (method, path) => {
      if (path === '/version') return { status: 200, body: { minor: '34', gitVersion: 'v1.34.4' } };
      if (method === 'GET' && /\/tulle-check-\w+\/pods$/.test(path)) return { status: 200, body: { items: ran(path) } };
      return undefined;
    };
  });
  afterEach(() => cluster.close());

  /** The pods of the trial, at their end. */
  function ran(path: string): object[] {
    return [...cluster.objects]
      .filter(([key]) => key.startsWith(`${path}/`))
      .map(([, pod]) => {
        const { name } = pod.metadata;
        const message = JSON.stringify({ status: seen[name], body: 'RBAC: access denied' });
        const done = name === 'server' ? { running: {} } : { terminated: { exitCode: 0, message } };
        const state = name === 'gate' ? gate : done;
        return {
          ...pod,
          metadata: { ...pod.metadata, annotations: { 'tulle.dev/injected': '0.1.0' } },
          spec: { containers: [{ name }], initContainers: [{ name: 'envoy' }] },
          status: { containerStatuses: [{ name, ready: true, restartCount: 0, state }] },
        };
      });
  }

  function recorded(): object[] {
    return [...cluster.objects.values()]
      .filter(({ kind }) => kind === 'Pod')
      .flatMap(({ metadata, spec }) => {
        const [{ command = [] } = {}] = (spec as { containers: { command?: string[] }[] }).containers;
        const traceId = command.at(-1)?.split('-')[1];
        return traceId === undefined ? [] : [{ traceId, service: `${metadata.namespace}/server:8080` }];
      });
  }

  const tulle = (given: Partial<CliContext>, ...argv: readonly string[]): Promise<Ran> =>
    runTulle({ cwd, ...given }, 'check', ...argv, '--kubeconfig', join(cwd, 'config'));
  const trials = (): string[] => [...cluster.objects.keys()].filter((key) => key.includes('tulle-check-'));

  it('proves that what is allowed passes and the rest is denied, and leaves nothing', async () => {
    const { exitCode, out } = await tulle({});
    assert.equal(exitCode, 0, out);
    assert.match(out, /^✔ CA: until \d{4}-\d\d-\d\d, (99|100) days$/m);
    assert.match(out, /^✔ mode: permissive, by chart value mode: nothing is denied$/m);
    assert.match(out, /^✔ what a TrafficTarget allows passes: answered 200$/m);
    assert.match(out, /^✔ what none allows is denied: answered 403: RBAC: access denied$/m);
    assert.match(out, /^✔ both requests are traced/m);
    assert.deepEqual(trials(), []);
  });

  it('tries in an enforced namespace of its own, with nothing of the user in it', async () => {
    await tulle({});
    const made = cluster.requests.filter(({ method, path }) => method === 'POST' && !path.includes('selfsubject'));
    assert.ok(made.every(({ path }, i) => (i === 0 ? path === '/api/v1/namespaces' : path.includes('/tulle-check-'))));
    const { metadata } = made[0]?.body as FakeObject;
    assert.equal(metadata.annotations?.['tulle.dev/mode'], 'enforce');
    assert.equal(metadata.labels?.['openservicemesh.io/monitored-by'], 'osm');
  });

  const startFast = (): void => {
    const config = cluster.objects.get('/api/v1/namespaces/tulle-system/configmaps/tulle-controller');
    assert.ok(config);
    const json = JSON.stringify({ kubernetes: { injection: { fastStart: true } } });
    cluster.objects.set('/api/v1/namespaces/tulle-system/configmaps/tulle-controller', {
      ...config,
      data: { 'config.json': json },
    });
  };
  const shut = 'error mounting ".../tulle-start/app" to rootfs at "/var/run/tulle-start/open": read-only file system';
  const gates: readonly (readonly [string, object, number, RegExp])[] = [
    [
      'is tried again',
      { waiting: { reason: 'RunContainerError', message: shut } },
      0,
      /^✔ .* waits for its sidecar: without/m,
    ],
    ['is given up', { terminated: { exitCode: 128, message: shut } }, 0, /^✔ .* waits for its sidecar: without/m],
    ['runs', { running: {} }, 1, /^✖ .* waits for its sidecar: it is started without one.*not made by runc$/m],
    ['has run', { terminated: { exitCode: 0 } }, 1, /^✖ .* waits for its sidecar: it is started/m],
  ];
  for (const [how, state, code, text] of gates)
    it(`is ${code} where pods start fast and an app without a sidecar ${how}`, async () => {
      startFast();
      gate = state;
      const { exitCode, out } = await tulle({});
      assert.equal(exitCode, code, out);
      assert.match(out, text);
    });

  it('is 1 when a call that none allows is let through', async () => {
    seen = { allowed: 200, denied: 200 };
    const { exitCode, out } = await tulle({});
    assert.equal(exitCode, 1);
    assert.match(out, /^✖ what none allows is denied: it was let through$/m);
    assert.deepEqual(trials(), []);
  });

  it('is 1 when what is allowed does not pass', async () => {
    seen = { allowed: 503, denied: 403 };
    const { exitCode, out } = await tulle({});
    assert.equal(exitCode, 1);
    assert.match(out, /^✖ what a TrafficTarget allows passes: it was answered 503/m);
  });

  it('with --no-traffic creates nothing', async () => {
    const { exitCode } = await tulle({}, '--no-traffic');
    assert.equal(exitCode, 0);
    assert.deepEqual(
      cluster.requests.filter(({ method }) => method === 'POST'),
      [],
    );
  });

  it('removes its namespace when it is broken off', async () => {
    let interrupt = (): void => undefined;
    const usual = cluster.intercept;
    cluster.intercept = (method, path, body) => {
      if (!/\/tulle-check-\w+\/pods$/.test(path) || method !== 'GET') return usual?.(method, path, body);
      interrupt();
      return { status: 200, body: { items: [] } };
    };
    const { exitCode, out } = await tulle({
      onSignal: (handler) => ((interrupt = () => handler('SIGINT')), () => undefined),
    });
    assert.equal(exitCode, 2);
    assert.match(out, /broken off/);
    assert.deepEqual(trials(), []);
  });

  it('removes its namespace when a pod is refused, and says by whom', async () => {
    const usual = cluster.intercept;
    cluster.intercept = (method, path, body) =>
      method === 'POST' && path.endsWith('/pods')
        ? failure(403, 'Forbidden', 'admission webhook "quota.example.com" denied the request: no more pods')
        : usual?.(method, path, body);
    const { exitCode, out } = await tulle({});
    assert.equal(exitCode, 1);
    assert.match(out, /^✖ could not be tried: .*quota\.example\.com.*no more pods$/m);
    assert.deepEqual(trials(), []);
  });

  it('removes what an earlier run left, but not what another still uses', async () => {
    const leave = (name: string, until: string): void =>
      void cluster.objects.set(`/api/v1/namespaces/${name}`, {
        metadata: { name, labels: { 'tulle.dev/check': 'true' }, annotations: { 'tulle.dev/check-until': until } },
      });
    leave('tulle-check-old', '2020-01-01T00:00:00.000Z');
    leave('tulle-check-now', '2999-01-01T00:00:00.000Z');
    leave('payments', '2020-01-01T00:00:00.000Z');
    await tulle({});
    assert.deepEqual(trials(), ['/api/v1/namespaces/tulle-check-now']);
    assert.ok(cluster.objects.has('/api/v1/namespaces/payments'), 'it has the label, and another name');
  });

  it('says which pods have no sidecar, whose sidecar is not connected, and how to mend it', async () => {
    cluster.objects.set('/api/v1/namespaces/shop', {
      metadata: {
        name: 'shop',
        labels: { 'openservicemesh.io/monitored-by': 'osm' },
        annotations: { 'tulle.dev/mode': 'shadow' },
      },
    });
    const pod = (name: string, injected: boolean): FakeObject => ({
      metadata: { name, namespace: 'shop', annotations: injected ? { 'tulle.dev/injected': '0.1.0' } : {} },
      spec: { containers: [{ name: 'app' }, ...(injected ? [{ name: 'envoy' }] : [])] },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    });
    cluster.objects.set('/api/v1/namespaces/shop/pods/bare', pod('bare', false));
    cluster.objects.set('/api/v1/namespaces/shop/pods/lost', pod('lost', true));
    const { exitCode, out } = await tulle({}, '--no-traffic', '-o', 'json');
    assert.equal(exitCode, 1);
    const { checks } = JSON.parse(out) as { checks: { name: string; status: string; detail: string; hint: string }[] };
    const [bare, lost] = [checks.find(({ name }) => name === 'shop'), checks.find(({ name }) => name === 'shop/lost')];
    assert.deepEqual([bare?.status, bare?.detail], ['warning', '1 of 2 pods have no sidecar: bare']);
    assert.equal(bare?.hint, 'kubectl rollout restart deployment,statefulset,daemonset -n shop');
    assert.deepEqual([lost?.status, lost?.hint], ['error', 'kubectl logs -n shop lost -c envoy']);
  });

  it('names the namespaces whose pods run on with sidecars though they have left', async () => {
    const resource = { apiVersion: 'v1', kind: 'Namespace', namespace: '', name: 'shop' };
    const [message, fix] = ['it is not in the mesh, but pods in it still have a sidecar', 'restart them'];
    mesh = {
      ...mesh,
      problems: [{ resource, field: '/metadata/labels', severity: 'warning', reason: 'NamespaceLeft', message, fix }],
    };
    const { out } = await tulle({}, '--no-traffic', '-o', 'json');
    const { checks } = JSON.parse(out) as { checks: { name: string; status: string; detail: string; hint: string }[] };
    assert.deepEqual(
      checks.filter(({ hint }) => hint === fix).map(({ name, status, detail }) => [name, status, detail]),
      [['shop', 'warning', message]],
    );
    assert.ok(!checks.some(({ name }) => name === '1 warning'), 'told once');
  });

  it('is 1 when the webhook has no caBundle', async () => {
    cluster.objects.set('/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/tulle-injector-osm', {
      metadata: { name: 'tulle-injector-osm' },
      webhooks: [{ name: 'a', clientConfig: {} }],
    });
    const { exitCode, out } = await tulle({}, '--no-traffic');
    assert.equal(exitCode, 1);
    assert.match(out, /^✖ injector: the controller has not written its caBundle/m);
  });
});
