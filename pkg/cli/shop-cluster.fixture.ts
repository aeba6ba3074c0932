import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Call } from '../observability/call.ts';
import type { CliContext } from './context.ts';
import { type FakeCluster, type FakeObject, startFakeCluster } from './fake-cluster.fixture.ts';
import { type Ran, runTulle } from './run-tulle.fixture.ts';

const inMesh = { 'openservicemesh.io/monitored-by': 'osm' };

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

export const shopObjects: Readonly<Record<string, FakeObject>> = {
  '/api/v1/namespaces/shop': { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: inMesh } },
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

export const shopTrace = '4bf92f3577b34da6a3ce929d0e0e4736';

export function recordedCall(source: string, time: number, traceId = '1'.repeat(32)): Call {
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

/** The namespace of the shop, enforced. */
export const enforcedShop = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'shop', annotations: { 'tulle.dev/mode': 'enforce' } },
};

/** A cluster with a small shop and a control plane, permissive, that recorded a call which policy allows and one which none does. */
export interface ShopCluster {
  readonly cwd: string;
  readonly cluster: FakeCluster;
  /** What the control plane, and the Envoy of `shop/web-1`, answer by path. */
  readonly answers: Record<string, unknown>;
  tulle(...argv: readonly string[]): Promise<Ran>;
  tulleWith(given: Partial<CliContext>, ...argv: readonly string[]): Promise<Ran>;
  /** Objects, as a file of YAML. */
  write(name: string, ...list: readonly object[]): void;
  close(): Promise<void>;
}

export async function startShopCluster(): Promise<ShopCluster> {
  const cwd = mkdtempSync(join(tmpdir(), 't-'));
  const cluster = await startFakeCluster(shopObjects);
  const answers: Record<string, unknown> = {
    '/api/mesh': {
      id: 'osm',
      mode: 'permissive',
      modeFrom: 'chart value mode',
      proxies: [],
      problems: [],
      splits: [],
      pods: [],
    },
    '/api/requests': [recordedCall('bad', 2), recordedCall('good', 1, shopTrace)],
    '/api/flows': [],
  };
  const controller = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://fake');
    response.writeHead(pathname in answers ? 200 : 404).end(JSON.stringify(answers[pathname] ?? {}));
  });
  await new Promise<void>((resolve) => controller.listen(0, '127.0.0.1', resolve));
  const { port } = controller.address() as AddressInfo;
  cluster.forwards.set('tulle-system/tulle-controller-1:9092', port);
  cluster.forwards.set('shop/web-1:15000', port);
  writeFileSync(join(cwd, 'config'), cluster.kubeconfig());
  const tulleWith = (given: Partial<CliContext>, ...argv: readonly string[]): Promise<Ran> =>
    runTulle({ cwd, ...given }, ...argv, '--kubeconfig', join(cwd, 'config'));
  return {
    cwd,
    cluster,
    answers,
    tulle: (...argv) => tulleWith({}, ...argv),
    tulleWith,
    write: (name, ...list) => writeFileSync(join(cwd, name), list.map((each) => JSON.stringify(each)).join('\n---\n')),
    async close() {
      controller.close();
      await cluster.close();
      rmSync(cwd, { recursive: true });
    },
  };
}
