import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshSnapshot, Namespace, Pod, RawObject, Service } from '../../pkg/catalog/snapshot.ts';
import { silentLogger } from '../../pkg/observability/logger.ts';
import { type FakeApiServer, startFakeApiServer } from '../../pkg/provider/kubernetes/fake-api-server.fixture.ts';
import { runKubernetesProvider } from '../../pkg/provider/kubernetes/run-kubernetes-provider.ts';
import { smiKinds } from '../../pkg/smi/kinds.ts';
import { describeModel } from '../support/describe-policy.ts';
import { loadScenario, scenarioNames } from '../support/scenario.ts';

/** Where files and a cluster differ by what they are. */
const different: Readonly<Record<string, string>> = {
  'not-meshed': 'files tell of un-meshed namespaces; of a cluster only meshed ones are read',
  'unknown-kinds': 'an API server stores no kinds and versions that nobody installed',
};

describe('scenarios, read from an API server', () => {
  for (const name of scenarioNames()) {
    const title = `${name}: becomes the same policies as from files`;
    if (different[name] !== undefined) {
      it.skip(`${title} (${different[name]})`);
      continue;
    }
    it(title, async () => {
      const { snapshot: written } = await loadScenario(name);
      const snapshot = { ...written, smi: written.smi.filter(isServed) };
      const read = await readThroughApiServer(snapshot);
      assert.deepEqual(read.smi.map(nameOf).sort(), snapshot.smi.map(nameOf).sort());
      const [expected, actual] = [buildMesh(snapshot), buildMesh(read)];
      assert.deepEqual(describeModel(actual.value), describeModel(expected.value));
      assert.deepEqual(actual.problems.map(withoutVersion), expected.problems.map(withoutVersion));
    });
  }
});

/** Nothing else can be stored. */
function isServed({ apiVersion, kind }: RawObject): boolean {
  return smiKinds.some((known) => {
    const versions: readonly string[] = known.versions;
    return known.kind === kind && versions.some((version) => apiVersion === `${known.group}/${version}`);
  });
}

function nameOf({ kind, metadata }: RawObject): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`;
}

/** Which of the versions that mean the same an object was written in is not kept by a cluster. */
function withoutVersion<T extends { readonly resource: { readonly apiVersion?: string } }>(problem: T): unknown {
  return { ...problem, resource: { ...problem.resource, apiVersion: '' } };
}

async function readThroughApiServer(snapshot: MeshSnapshot): Promise<MeshSnapshot> {
  const server = await startFakeApiServer();
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  try {
    fill(server, snapshot);
    return await new Promise<MeshSnapshot>((resolve, reject) => {
      runKubernetesProvider({
        cluster: server.cluster,
        meshName: 'osm',
        controlNamespace: 'tulle-system',
        config: snapshot.config,
        signal: stop.signal,
        log: silentLogger,
        onSnapshot: resolve,
      }).done.catch(reject);
    });
  } finally {
    stop.abort();
    await server.close();
  }
}

function fill(server: FakeApiServer, { namespaces, services, pods, endpointSlices, smi }: MeshSnapshot): void {
  server.install('', ['v1'], 'Namespace', 'namespaces');
  server.install('', ['v1'], 'Service', 'services');
  server.install('', ['v1'], 'Pod', 'pods');
  server.install('discovery.k8s.io', ['v1'], 'EndpointSlice', 'endpointslices');
  for (const { group, kind, versions } of smiKinds) server.install(group, versions, kind, `${kind.toLowerCase()}s`);
  for (const namespace of namespaces) server.apply('namespaces', toNamespaceObject(namespace));
  for (const service of services) server.apply('services', toServiceObject(service));
  for (const pod of pods) server.apply('pods', toPodObject(pod));
  for (const { namespace, name, service, ports, endpoints } of endpointSlices) {
    server.apply('endpointslices', {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace, name, labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      ports,
      endpoints: endpoints.map(({ addresses, ready, hostname, pod }) => ({
        addresses,
        conditions: { ready },
        hostname,
        ...(pod !== undefined && { targetRef: { kind: 'Pod', name: pod } }),
      })),
    });
  }
  for (const object of smi)
    server.apply(`${object.kind.toLowerCase()}s`, { ...object, metadata: { ...object.metadata } });
}

function toNamespaceObject({ name, meshed, mode }: Namespace): Parameters<FakeApiServer['apply']>[1] {
  const labels = { 'kubernetes.io/metadata.name': name, ...(meshed && { 'openservicemesh.io/monitored-by': 'osm' }) };
  const annotations = mode === undefined ? {} : { 'tulle.dev/mode': mode };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, annotations } };
}

function toServiceObject(service: Service): Parameters<FakeApiServer['apply']>[1] {
  const { namespace, name, clusterIPs, headless, externalName, selector, ports, publishNotReadyAddresses } = service;
  const clusterIP = headless ? 'None' : clusterIPs[0];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: {
      ...(externalName === undefined ? { clusterIP, clusterIPs: headless ? ['None'] : clusterIPs } : {}),
      ...(externalName === undefined ? { type: 'ClusterIP' } : { type: 'ExternalName', externalName }),
      selector,
      ports,
      publishNotReadyAddresses,
    },
  };
}

/** As the kubelet and the injection leave it. */
function toPodObject(pod: Pod): Parameters<FakeApiServer['apply']>[1] {
  const { namespace, name, serviceAccount, labels, ip, hostname, subdomain, ready, meshed, ports, owner } = pod;
  const [, kind, owned] = owner?.split('/') ?? [];
  const containerPorts = ports.map(({ name: portName, port }) => ({ name: portName, containerPort: port }));
  const sidecar = { name: 'envoy', image: 'envoy', ports: [{ name: 'proxy-metrics', containerPort: 15010 }] };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace,
      name,
      labels,
      annotations: {
        ...(meshed && { 'tulle.dev/injected': '0.1.0' }),
        'tulle.dev/inbound-address': 'unix:/tmp/elsewhere',
      },
      ...(kind !== undefined && { ownerReferences: [{ kind, name: owned, controller: true }] }),
    },
    spec: {
      serviceAccountName: serviceAccount,
      hostname,
      subdomain,
      containers: [{ name: 'app', image: 'app', ports: containerPorts }],
      ...(meshed && { initContainers: [{ ...sidecar, restartPolicy: 'Always' }] }),
    },
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}
