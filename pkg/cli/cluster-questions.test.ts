import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Call } from '../observability/call.ts';
import { type FakeCluster, type FakeObject, failure, startFakeCluster } from './fake-cluster.fixture.ts';
import { type Ran, runTulle } from './run-tulle.fixture.ts';

const mesh = { 'openservicemesh.io/monitored-by': 'osm' };

function pod(name: string, ip: string): FakeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${name}-1`,
      namespace: 'shop',
      labels: { app: name },
      annotations: { 'tulle.dev/injected': '0.1.0' },
      ...{ ownerReferences: [{ kind: 'ReplicaSet', name: `${name}-abc`, controller: true }] },
    },
    spec: { serviceAccountName: name, containers: [{ name: 'app' }], initContainers: [{ name: 'envoy' }] },
    status: { phase: 'Running', podIP: ip, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

const objects: Readonly<Record<string, FakeObject>> = {
  '/api/v1/namespaces/shop': { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: mesh } },
  '/api/v1/namespaces/shop/services/web': {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: { clusterIP: '10.96.0.9', selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  },
  '/api/v1/namespaces/shop/pods/web-1': pod('web', '10.0.0.1'),
  '/api/v1/namespaces/shop/pods/good-1': pod('good', '10.0.0.2'),
  '/api/v1/namespaces/shop/pods/bad-1': pod('bad', '10.0.0.3'),
  '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-x': {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-x', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true }, targetRef: { kind: 'Pod', name: 'web-1' } }],
  },
  '/apis/specs.smi-spec.io/v1alpha4/namespaces/shop/httproutegroups/r': {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'HTTPRouteGroup',
    metadata: { name: 'r', namespace: 'shop' },
    spec: { matches: [{ name: 'books', pathRegex: '/books', methods: ['GET'] }] },
  },
  '/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/good-to-web': {
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { name: 'good-to-web', namespace: 'shop' },
    spec: {
      destination: { kind: 'ServiceAccount', name: 'web', namespace: 'shop' },
      rules: [{ kind: 'HTTPRouteGroup', name: 'r' }],
      sources: [{ kind: 'ServiceAccount', name: 'good', namespace: 'shop' }],
    },
  },
  '/api/v1/namespaces/tulle-system/configmaps/tulle-controller': {
    metadata: { name: 'tulle-controller', namespace: 'tulle-system' },
    data: { 'config.json': JSON.stringify({ mesh: { mode: 'permissive', modeFrom: 'chart value mode' } }) },
  },
  '/api/v1/namespaces/tulle-system/services/tulle-controller': {
    metadata: { name: 'tulle-controller', namespace: 'tulle-system' },
    spec: { selector: { app: 'tulle-controller' } },
  },
  '/api/v1/namespaces/tulle-system/pods/tulle-controller-1': {
    metadata: { name: 'tulle-controller-1', namespace: 'tulle-system', labels: { app: 'tulle-controller' } },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  },
};

const trace = '4bf92f3577b34da6a3ce929d0e0e4736';

function call(source: string, time: number, traceId = '1'.repeat(32)): Call {
  return {
    time,
    durationMs: 1,
    traceId,
    spanId: '1'.repeat(16),
    observer: 'client',
    source: `shop/${source}`,
    service: 'shop/web:80',
    protocol: 'http',
    destination: 'shop/web',
    split: '',
    backend: '',
    serverPod: 'shop/web-1',
    method: 'GET',
    path: '/books',
    authority: 'web',
    headers: {},
    status: 200,
    verdict: 'allowed',
    reason: '',
    rule: '',
    mode: 'permissive',
    error: false,
  };
}

describe('the questions about policy, put to a cluster', function () {
  this.timeout(30_000);
  let cwd = '';
  let cluster: FakeCluster;
  let controller: Server;
  let answers: Record<string, unknown> = {};

  before(async () => {
    controller = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://fake');
      response.writeHead(pathname in answers ? 200 : 404).end(JSON.stringify(answers[pathname] ?? {}));
    });
    await new Promise<void>((resolve) => controller.listen(0, '127.0.0.1', resolve));
  });
  after(() => void controller.close());
  beforeEach(async () => {
    cwd = mkdtempSync(join(tmpdir(), 't-'));
    cluster = await startFakeCluster(objects);
    writeFileSync(join(cwd, 'config'), cluster.kubeconfig());
    const { port } = controller.address() as AddressInfo;
    cluster.forwards.set('tulle-system/tulle-controller-1:9092', port);
    cluster.forwards.set('shop/web-1:15000', port);
    answers = {
      '/api/mesh': {
        id: 'osm',
        mode: 'permissive',
        modeFrom: 'chart value mode',
        proxies: [],
        problems: [],
        splits: [],
      },
      '/api/requests': [call('bad', 2), call('good', 1, trace)],
      '/api/flows': [],
    };
  });
  afterEach(async () => {
    await cluster.close();
    rmSync(cwd, { recursive: true });
  });

  const tulle = (...argv: readonly string[]): Promise<Ran> =>
    runTulle({ cwd }, ...argv, '--kubeconfig', join(cwd, 'config'));
  const write = (name: string, ...list: readonly object[]): void =>
    writeFileSync(join(cwd, name), list.map((each) => JSON.stringify(each)).join('\n---\n'));
  const enforced = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', annotations: { 'tulle.dev/mode': 'enforce' } },
  };

  it('explain goes by the pods that run, and says where the mode comes from', async () => {
    const { exitCode, out } = await tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books');
    assert.equal(exitCode, 0);
    assert.match(out, /mode permissive \(chart value mode\) lets everything pass; enforced, it would be refused/);
    assert.match(out, /nearest miss: source shop\/bad: only shop\/good/);
  });

  it('explain -f answers as if the files were applied', async () => {
    write('new.yaml', enforced);
    const { exitCode, out } = await tulle(
      'explain',
      'shop/bad',
      'web.shop',
      'GET',
      '/books',
      '-f',
      'new.yaml',
      '--expect',
      'deny',
    );
    assert.equal(exitCode, 0, out);
    assert.match(out, /^DENIED {2}SourceNotAllowed$/m);
  });

  it('explain --mode stands above what the cluster says', async () => {
    const { out } = await tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books', '--mode', 'enforce');
    assert.match(out, /^DENIED {2}SourceNotAllowed$/m);
  });

  it('explain --trace explains what sidecars recorded', async () => {
    const { exitCode, out } = await tulle('explain', '--trace', trace);
    assert.equal(exitCode, 0);
    assert.match(out, /^shop\/good -> shop\/web:80 GET \/books/m);
    assert.match(out, /recorded at 00:00:00: allowed/);
  });

  it('analyze finds what is wrong in the cluster', async () => {
    cluster.objects.set('/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/broken', {
      apiVersion: 'access.smi-spec.io/v1alpha3',
      kind: 'TrafficTarget',
      metadata: { name: 'broken', namespace: 'shop' },
      spec: {
        destination: { kind: 'ServiceAccount', name: 'web' },
        rules: [{ kind: 'HTTPRouteGroup', name: 'gone' }],
        sources: [],
      },
    });
    const { exitCode, out } = await tulle('analyze');
    assert.equal(exitCode, 1);
    assert.match(out, /^error: TrafficTarget shop\/broken: .*gone/m);
  });

  it('analyze of files reports what is in them and what they would break, not what was there', async () => {
    cluster.objects.set('/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/broken', {
      apiVersion: 'access.smi-spec.io/v1alpha3',
      kind: 'TrafficTarget',
      metadata: { name: 'broken', namespace: 'shop' },
      spec: {
        destination: { kind: 'ServiceAccount', name: 'web' },
        rules: [{ kind: 'HTTPRouteGroup', name: 'gone' }],
        sources: [],
      },
    });
    write('new.yaml', enforced, {
      apiVersion: 'split.smi-spec.io/v1alpha2',
      kind: 'TrafficSplit',
      metadata: { name: 's', namespace: 'shop' },
      spec: { service: 'web', backends: [{ service: 'web-v2', weight: 1 }] },
    });
    const { exitCode, out } = await tulle('analyze', 'new.yaml');
    assert.equal(exitCode, 1);
    assert.match(out, /^new\.yaml:\d+:\d+: (error|warning): TrafficSplit shop\/s: .*web-v2/m);
    assert.doesNotMatch(out, /broken/);
  });

  it('diff of one path says what applying it would change', async () => {
    write('new.yaml', {
      ...objects['/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/good-to-web'],
      spec: {
        destination: { kind: 'ServiceAccount', name: 'web', namespace: 'shop' },
        rules: [{ kind: 'HTTPRouteGroup', name: 'r' }],
        sources: [{ kind: 'ServiceAccount', name: 'bad', namespace: 'shop' }],
      },
    });
    const { exitCode, out } = await tulle('diff', 'new.yaml', '--mode', 'enforce');
    assert.equal(exitCode, 1);
    assert.match(out, /^\+ gained +shop\/bad +-> +shop\/web:80 +GET \/books$/m);
    assert.match(out, /^- lost +shop\/good/m);
  });

  it('test holds cases against the cluster', async () => {
    write('cases.yaml', [{ from: 'shop/bad', to: 'web.shop', path: '/books', expect: 'deny' }]);
    assert.equal((await tulle('test', 'cases.yaml', '--mode', 'enforce')).exitCode, 0);
    assert.equal((await tulle('test', 'cases.yaml')).exitCode, 1);
  });

  it('whatif replays the recorded calls against files laid over the cluster', async () => {
    write('new.yaml', enforced);
    const { exitCode, out } = await tulle('whatif', '-f', 'new.yaml');
    assert.equal(exitCode, 1);
    assert.match(out, /newly denied: 1 calls/);
    assert.match(out, /shop\/bad \(ReplicaSet bad-abc\) +-> +shop\/web:80/);
  });

  it('suggest writes what lets pass what would be refused', async () => {
    answers['/api/requests'] = [{ ...call('bad', 2), verdict: 'denied', status: 403, reason: 'SourceNotAllowed' }];
    const { exitCode, out, err } = await tulle('suggest', '-n', 'shop');
    assert.equal(exitCode, 0, err);
    assert.match(out, /kind: TrafficTarget/);
    assert.match(err, /replayed: allows these 1 requests, nothing else/);
  });

  describe('tulle enforce', () => {
    it('lists what would be denied and changes nothing unless somebody says yes', async () => {
      const { exitCode, out } = await tulle('enforce', 'shop');
      assert.equal(exitCode, 1);
      assert.match(out, /would be denied: 1 calls/);
      assert.match(out, /nothing was changed/);
      assert.deepEqual(
        cluster.requests.filter(({ method }) => method === 'PATCH'),
        [],
      );
    });

    it('asks, and takes yes for yes', async () => {
      const asked: string[] = [];
      const ask = (question: string): Promise<string> => (asked.push(question), Promise.resolve('yes'));
      const { exitCode } = await runTulle({ cwd, ask }, 'enforce', 'shop', '--kubeconfig', join(cwd, 'config'));
      assert.equal(exitCode, 0);
      assert.deepEqual(asked, ['enforce policy in shop? [y/N] ']);
      assert.equal(cluster.objects.get('/api/v1/namespaces/shop')?.metadata.annotations?.['tulle.dev/mode'], 'enforce');
    });

    it('does it with --yes, by one annotation', async () => {
      const { exitCode, out } = await tulle('enforce', 'shop', '--yes');
      assert.equal(exitCode, 0);
      assert.match(out, /shop is enforced now/);
      const [patch] = cluster.requests.filter(({ method }) => method === 'PATCH');
      assert.deepEqual(patch?.body, { metadata: { annotations: { 'tulle.dev/mode': 'enforce' } } });
    });

    it('counts what shadow mode saw and no single call is kept of', async () => {
      answers['/api/requests'] = [];
      answers['/api/flows'] = [
        {
          source: 'shop/old',
          service: 'shop/web:80',
          destination: 'shop/web',
          verdict: 'would-deny',
          reason: 'SourceNotAllowed',
          requests: 7,
        },
      ];
      const { out } = await tulle('enforce', 'shop');
      assert.match(out, /by the count of sidecars: 7 calls shop\/old -> shop\/web:80: SourceNotAllowed/);
    });

    it('refuses a namespace that is not in the mesh', async () => {
      cluster.objects.set('/api/v1/namespaces/shop', { metadata: { name: 'shop' } });
      const { exitCode, err } = await tulle('enforce', 'shop', '--yes');
      assert.equal(exitCode, 2);
      assert.match(err, /shop is not in mesh osm: tulle namespace add shop/);
    });
  });

  describe('tulle proxy', () => {
    it('status shows the sidecars that are connected, of one namespace with -n', async () => {
      const proxy = (name: string, synced: boolean): object => ({
        pod: name,
        identity: 'spiffe://cluster.local/ns/a/sa/b',
        kind: 'envoy',
        nodeId: '',
        types: [{ typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster', synced }],
      });
      answers['/api/mesh'] = { proxies: [proxy('shop/web-1', true), proxy('other/x', false)] };
      const all = await tulle('proxy', 'status');
      assert.equal(all.exitCode, 1);
      assert.match(all.out, /other\/x .*waits for Cluster/);
      const one = await tulle('proxy', 'status', '-n', 'shop');
      assert.equal(one.exitCode, 0);
      assert.doesNotMatch(one.out, /other/);
    });

    it('config prints what the Envoy of a pod has, found by the start of its name', async () => {
      const path = { url_path: { path: { safe_regex: { regex: '/books' } } } };
      const rules = {
        rbac: {
          shadow_rules: {
            policies: {
              'shop/good-to-web': {
                permissions: [
                  { and_rules: { rules: [path, { header: { name: ':method', string_match: { exact: 'GET' } } }] } },
                ],
                principals: [
                  { authenticated: { principal_name: { exact: 'spiffe://cluster.local/ns/shop/sa/good' } } },
                ],
              },
            },
          },
        },
      };
      const weighted = {
        clusters: [
          { name: 'shop/v1', weight: 90 },
          { name: 'shop/v2', weight: 10 },
        ],
      };
      answers['/config_dump'] = {
        configs: [
          {
            dynamic_route_configs: [
              {
                route_config: {
                  name: 'inbound/8080',
                  typed_per_filter_config: { 'tulle.rbac.rules': rules, 'tulle.rbac.enforce': { rbac: { rules: {} } } },
                },
              },
              {
                route_config: {
                  name: 'outbound/shop/web:80',
                  virtual_hosts: [{ routes: [{ route: { weighted_clusters: weighted } }] }],
                },
              },
            ],
          },
        ],
      };
      const { exitCode, out } = await tulle('proxy', 'config', 'web', '-n', 'shop');
      assert.equal(exitCode, 0);
      assert.deepEqual(out.trimEnd().split('\n'), [
        'shop/web-1',
        '  has no certificate yet',
        '  port 8080 (http), enforced',
        '    shop/good-to-web lets in shop/good: /books GET',
        '  may call shop/web:80 (http), shared: shop/v1 90, shop/v2 10',
      ]);
    });

    it('config names the pods that there are when it does not find one', async () => {
      const { exitCode, err } = await tulle('proxy', 'config', 'cart', '-n', 'shop');
      assert.equal(exitCode, 2);
      assert.match(err, /no pod "cart" runs in namespace shop; these have a sidecar: web-1, good-1, bad-1/);
    });
  });

  describe('rights', () => {
    it('what may not be read of the whole cluster is read of the namespaces that -n names, and told', async () => {
      cluster.intercept = (_, path) =>
        path === '/api/v1/pods' || path === '/api/v1/namespaces'
          ? failure(403, 'Forbidden', 'User "jane" cannot list resource "pods" in API group "" at the cluster scope')
          : undefined;
      const { exitCode, out, err } = await tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books', '-n', 'shop');
      assert.equal(exitCode, 0, err);
      assert.match(out, /nearest miss/);
      assert.equal(
        err,
        'tulle: you may not read the whole cluster, so only namespace shop was looked at (-n says which)\n',
      );
    });

    it('without the ConfigMap of the control plane it says what it takes for granted', async () => {
      cluster.intercept = (_, path) => (path.includes('/configmaps/') ? failure(403, 'Forbidden', 'no') : undefined);
      const { exitCode, err } = await tulle('explain', 'shop/bad', 'web.shop', 'GET', '/books');
      assert.equal(exitCode, 0);
      assert.match(err, /you may not read ConfigMap tulle-controller in tulle-system: mode permissive, .* are assumed/);
    });

    it('a refused port forwarding says so', async () => {
      cluster.intercept = (method) => (method === 'UPGRADE' ? failure(403, 'Forbidden', 'no') : undefined);
      const { exitCode, err } = await tulle('proxy', 'status');
      assert.equal(exitCode, 2);
      assert.match(err, /may not create pods\/portforward in namespace tulle-system; this gives the right:/);
      assert.match(err, /kubectl create rolebinding -n tulle-system tulle-user --clusterrole=edit/);
    });
  });
});
