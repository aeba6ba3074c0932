import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import type { MeshConfig, MeshSnapshot } from '../../catalog/snapshot.ts';
import { silentLogger } from '../../observability/logger.ts';
import { Metrics } from '../../observability/metrics.ts';
import type { Problem } from '../../problem/problem.ts';
import {
  type FakeApiServer,
  type FakeObject,
  sendJson,
  sendStatus,
  startFakeApiServer,
} from './fake-api-server.fixture.ts';
import { createHurriedClock, createLookout } from './fake-time.fixture.ts';
import { type KubernetesProvider, runKubernetesProvider } from './run-kubernetes-provider.ts';
import { declareWatchMetrics } from './watch-metrics.ts';

const config: MeshConfig = {
  mode: 'permissive',
  modeFrom: 'chart value mode',
  pathMatch: 'full',
  trustDomain: 'cluster.local',
  egress: 'deny',
  tracing: { sampling: 1 },
};

interface Starting {
  /** Awaited with each snapshot. */
  readonly during: () => Promise<void>;
  readonly starting: boolean;
}

interface Running {
  readonly provider: KubernetesProvider;
  readonly snapshots: MeshSnapshot[];
  readonly latest: () => MeshSnapshot;
  readonly problems: () => readonly Problem[];
  readonly until: (holds: () => boolean) => Promise<void>;
}

function namespace(
  name: string,
  labels: Record<string, string> = {},
  annotations: Record<string, string> = {},
): FakeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, annotations } };
}

const monitored = { 'openservicemesh.io/monitored-by': 'osm' };

function service(name: string, in_ = 'shop', spec: object = {}): FakeObject {
  const ports = [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' }];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: in_ },
    spec: { clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'], selector: { app: name }, ports, ...spec },
  };
}

function pod(
  name: string,
  { annotations, spec, status, ...metadata }: Record<string, unknown> = {},
  in_ = 'shop',
): FakeObject {
  const injected = { 'tulle.dev/injected': '0.1.0' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: in_, labels: { app: name }, annotations: annotations ?? injected, ...metadata },
    spec: {
      serviceAccountName: name,
      initContainers: [{ name: 'envoy', ports: [{ name: 'http', containerPort: 15010 }] }],
      containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }] }],
      ...(spec as object),
    },
    status: {
      phase: 'Running',
      podIP: '10.244.0.9',
      podIPs: [{ ip: '10.244.0.9' }],
      conditions: [{ type: 'Ready', status: 'True' }],
      ...(status as object),
    },
  };
}

function meshConfig(spec: object, annotations: Record<string, string> = {}): FakeObject {
  return {
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshConfig',
    metadata: { name: 'osm-mesh-config', namespace: 'tulle-system', annotations },
    spec,
  };
}

function split(apiVersion: string, weights: readonly unknown[]): FakeObject {
  const backends = weights.map((weight, i) => ({ service: `cart-${i}`, weight }));
  return {
    apiVersion,
    kind: 'TrafficSplit',
    metadata: { name: 'cart', namespace: 'shop' },
    spec: { service: 'cart', backends },
  };
}

describe('runKubernetesProvider', () => {
  let server: FakeApiServer;
  let stop: AbortController;
  let provider: KubernetesProvider | undefined;

  beforeEach(async () => {
    server = await startFakeApiServer();
    server.install('', ['v1'], 'Namespace', 'namespaces');
    server.install('', ['v1'], 'Service', 'services');
    server.install('', ['v1'], 'Pod', 'pods');
    server.install('discovery.k8s.io', ['v1'], 'EndpointSlice', 'endpointslices');
    server.apply('namespaces', namespace('shop', monitored));
    stop = new AbortController();
    setMaxListeners(0, stop.signal);
  });

  afterEach(async () => {
    stop.abort();
    await provider?.done;
    provider = undefined;
    await server.close();
  });

  async function start({ during, starting }: Partial<Starting> = {}): Promise<Running> {
    const lookout = createLookout();
    const snapshots: MeshSnapshot[] = [];
    let problems: readonly Problem[] = [];
    const own = runKubernetesProvider({
      cluster: server.cluster,
      meshName: 'osm',
      controlNamespace: 'tulle-system',
      config,
      ...(starting === undefined ? {} : { starting }),
      signal: stop.signal,
      log: silentLogger,
      clock: createHurriedClock(),
      random: () => 0.5,
      onSnapshot: async (snapshot, found) => {
        snapshots.push(snapshot);
        problems = found;
        setImmediate(lookout.look);
        await during?.();
      },
    });
    provider = own;
    own.done.catch(() => undefined);
    const latest = (): MeshSnapshot => snapshots.at(-1) ?? assert.fail('nothing was read');
    await lookout.until(() => snapshots.length > 0);
    const { until } = lookout;
    return { provider: own, snapshots, latest, problems: () => problems, until };
  }

  const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name).sort();

  it('gives nothing before everything was read once', async () => {
    for (let i = 0; i < 700; i++) server.apply('services', service(`s${i}`));
    server.apply('pods', pod('web'));
    const { snapshots } = await start();
    assert.equal(snapshots.length, 1);
    assert.equal(snapshots[0]?.services.length, 700);
    assert.deepEqual(names(snapshots[0].pods), ['web']);
  });

  it('takes in meshed namespaces alone, and their objects as soon as they are labelled', async () => {
    server.apply('namespaces', namespace('bank'));
    server.apply('namespaces', namespace('other', { 'openservicemesh.io/monitored-by': 'another-mesh' }));
    server.apply('namespaces', namespace('quiet', { ...monitored, 'openservicemesh.io/ignore': '' }));
    server.apply('namespaces', namespace('kube-system', monitored));
    server.apply('namespaces', namespace('tulle-system', monitored));
    server.apply(
      'namespaces',
      namespace('ours', { 'tulle.dev/monitored-by': 'osm', 'openservicemesh.io/monitored-by': 'x' }),
    );
    for (const name of ['shop', 'bank', 'other', 'quiet', 'kube-system', 'tulle-system', 'ours']) {
      server.apply('services', service(`of-${name}`, name));
      server.apply('pods', pod(`of-${name}`, { annotations: {} }, name));
    }
    const { latest, until, provider: own } = await start();
    assert.deepEqual(names(latest().namespaces), ['ours', 'shop']);
    assert.deepEqual(names(latest().services), ['of-ours', 'of-shop']);
    assert.deepEqual(names(latest().pods), ['of-ours', 'of-shop']);
    assert.deepEqual([...own.namespaces.meshed()].sort(), ['ours', 'shop']);

    server.apply('namespaces', namespace('bank', monitored));
    await until(() => latest().namespaces.length === 3);
    assert.deepEqual(names(latest().services), ['of-bank', 'of-ours', 'of-shop']);
    server.apply('namespaces', namespace('shop'));
    await until(() => latest().namespaces.length === 2);
    assert.deepEqual(names(latest().pods), ['of-bank', 'of-ours']);
  });

  describe('a namespace that leaves the mesh', () => {
    const left = [['Namespace', 'shop', 'warning', 'NamespaceLeft']];
    const told = (problems: readonly Problem[]): unknown[][] =>
      problems.map(({ resource, severity, reason }) => [resource.kind, resource.name, severity, reason]);

    it('is meshed until its pods with sidecars are gone, with what changes in it meanwhile, and says so', async () => {
      server.apply('namespaces', namespace('shop', monitored, { 'tulle.dev/mode': 'enforce' }));
      server.apply('services', service('cart'));
      server.apply('pods', pod('cart'));
      server.apply('pods', pod('bare', { annotations: {} }));
      const { latest, problems, until, provider: own } = await start();
      server.apply('namespaces', namespace('shop', {}, { 'tulle.dev/mode': 'enforce' }));
      await until(() => problems().length > 0);
      assert.deepEqual(told(problems()), left);
      assert.deepEqual(latest().namespaces, [{ name: 'shop', meshed: true, mode: 'enforce' }]);
      assert.deepEqual(own.namespaces.meshed(), []);

      server.apply('services', service('books'));
      await until(() => latest().services.length === 2);
      server.apply('pods', pod('cart', { status: { podIP: '10.244.0.77', podIPs: [{ ip: '10.244.0.77' }] } }));
      await until(() => latest().pods.some(({ ip }) => ip === '10.244.0.77'));

      server.apply('pods', pod('cart', { status: { phase: 'Succeeded' } }));
      await until(() => latest().namespaces.length === 0);
      assert.deepEqual([latest().services, latest().pods, problems()], [[], [], []]);
    });

    it('comes back with its label', async () => {
      server.apply('pods', pod('cart'));
      const { problems, until } = await start();
      server.apply('namespaces', namespace('shop'));
      await until(() => problems().length > 0);
      server.apply('namespaces', namespace('shop', monitored));
      await until(() => problems().length === 0);
    });

    it('is not served from the moment that it has the label ignore, nor when that is gone', async () => {
      server.apply('services', service('cart'));
      server.apply('pods', pod('cart'));
      const { latest, problems, until } = await start();
      for (const labels of [{ ...monitored, 'openservicemesh.io/ignore': '' }, {}]) {
        server.apply('namespaces', namespace('shop', labels));
        await until(() => problems()[0]?.message.includes('ignore') === 'openservicemesh.io/ignore' in labels);
        assert.deepEqual(told(problems()), left);
        assert.deepEqual([latest().namespaces, latest().services, latest().pods], [[], [], []]);
      }
    });

    it('did so only if it was seen in the mesh: pods that look injected enlist nothing, and are told', async () => {
      server.apply('namespaces', namespace('never'));
      server.apply('namespaces', namespace('quiet', { 'tulle.dev/ignore': 'true' }));
      for (const name of ['never', 'quiet']) {
        server.apply('services', service('bait', name));
        server.apply('pods', pod('forged', {}, name));
      }
      const { latest, problems, until } = await start();
      await until(() => problems().length === 2);
      assert.deepEqual(names(latest().namespaces), ['shop']);
      assert.deepEqual([latest().services, latest().pods], [[], []]);
      assert.deepEqual(
        told(problems())
          .map(([, name]) => name)
          .sort(),
        ['never', 'quiet'],
      );
      for (const { message } of problems()) assert.match(message, /not serve/);
    });

    it('can not come back by such pods when its own are gone', async () => {
      server.apply('pods', pod('cart'));
      const { latest, problems, until } = await start();
      server.apply('namespaces', namespace('shop'));
      await until(() => problems().length === 1);
      server.remove('pods', 'shop/cart');
      await until(() => latest().namespaces.length === 0);
      server.apply('pods', pod('forged'));
      await until(() => problems().length === 1);
      assert.deepEqual([latest().namespaces, latest().pods], [[], []]);
    });

    it('is not kept when another mesh takes it, or for pods of another', async () => {
      server.apply('namespaces', namespace('theirs'));
      server.apply('namespaces', namespace('kube-system'));
      const of = { annotations: { 'tulle.dev/injected': '0.1.0', 'tulle.dev/mesh': 'other' } };
      server.apply('pods', pod('a', of, 'theirs'));
      server.apply('pods', pod('b', {}, 'kube-system'));
      server.apply('pods', pod('cart'));
      const { latest, problems, until } = await start();
      assert.deepEqual(names(latest().namespaces), ['shop']);
      server.apply('namespaces', namespace('shop', { 'openservicemesh.io/monitored-by': 'other' }));
      await until(() => latest().namespaces.length === 0);
      assert.deepEqual(problems(), []);
    });
  });

  it('changes only the list that an event is about, and keeps all that did not change', async () => {
    server.apply('services', service('a'));
    server.apply('services', service('b'));
    server.apply('pods', pod('web'));
    const { snapshots, latest, until } = await start();
    const [before] = snapshots;
    server.apply('services', service('a', 'shop', { publishNotReadyAddresses: true }));
    await until(() => snapshots.length === 2);
    assert.ok(before);
    assert.equal(latest().pods, before.pods);
    assert.equal(latest().namespaces, before.namespaces);
    assert.equal(latest().config, before.config);
    assert.notEqual(latest().services, before.services);
    assert.equal(latest().services[1], before.services[1]);
  });

  it('says nothing when nothing changed that anybody reads', async () => {
    server.apply('pods', pod('web'));
    const { snapshots, latest, until } = await start();
    server.apply('pods', pod('web', { status: { startTime: '2026-11-21T12:00:00Z' } }));
    server.apply('services', service('elsewhere', 'unmeshed'));
    server.apply('services', service('a'));
    await until(() => latest().services.length === 1);
    assert.equal(snapshots.length, 2);
    assert.equal(snapshots[1]?.pods, snapshots[0]?.pods);
  });

  it('makes one snapshot of what happens while the last one is worked on', async () => {
    let release = (): void => undefined;
    const { snapshots, latest, until } = await start({ during: () => new Promise((resolve) => (release = resolve)) });
    for (let i = 0; i < 100; i++) server.apply('services', service(`s${i}`));
    await server.watched('services');
    server.sendRaw('services', '');
    const settled = Promise.all([until(() => snapshots.length === 2), readAll(server, 's99')]);
    setImmediate(() => release());
    await settled;
    assert.equal(latest().services.length, 100);
    release();
  });

  describe('mode and egress', () => {
    beforeEach(() => {
      server.install('config.openservicemesh.io', ['v1alpha1', 'v1alpha2'], 'MeshConfig', 'meshconfigs');
    });

    it('come from the installation until the MeshConfig says otherwise, live, and again when it is gone', async () => {
      const { latest, until } = await start();
      const seen = (): string => [latest().config.mode, latest().config.egress, latest().config.modeFrom].join(', ');
      assert.equal(seen(), 'permissive, deny, chart value mode');
      server.apply('meshconfigs', meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false } }));
      await until(() => seen() === 'enforce, deny, MeshConfig tulle-system/osm-mesh-config');
      server.apply(
        'meshconfigs',
        meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true, enableEgress: true } }),
      );
      await until(() => seen() === 'permissive, allow, MeshConfig tulle-system/osm-mesh-config');
      const shadow = { 'tulle.dev/mode': 'shadow' };
      server.apply('meshconfigs', meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }, shadow));
      await until(() => seen() === 'shadow, deny, MeshConfig tulle-system/osm-mesh-config');
      server.apply('meshconfigs', meshConfig({}));
      await until(() => seen() === 'permissive, deny, chart value mode');
      server.apply('meshconfigs', meshConfig({ traffic: { enableEgress: true } }));
      await until(() => seen() === 'permissive, allow, chart value mode');
      server.remove('meshconfigs', 'tulle-system/osm-mesh-config');
      await until(() => seen() === 'permissive, deny, chart value mode');
    });

    it('take what can not be understood as the strictest, with a problem', async () => {
      server.apply('meshconfigs', meshConfig({}, { 'tulle.dev/mode': 'loose' }));
      const { latest, problems } = await start();
      assert.equal(latest().config.mode, 'enforce');
      assert.deepEqual(
        problems().map(({ reason, resource }) => [reason, resource.kind]),
        [['FieldInvalid', 'MeshConfig']],
      );
    });

    it('of a namespace come before all', async () => {
      server.apply('meshconfigs', meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }));
      server.apply('namespaces', namespace('shop', monitored, { 'tulle.dev/mode': 'enforce' }));
      const { latest } = await start();
      assert.deepEqual(latest().namespaces, [{ name: 'shop', meshed: true, mode: 'enforce' }]);
    });

    it('are read beside what the injection needs', async () => {
      const sidecar = { logLevel: 'debug', resources: { limits: { cpu: '1' } } };
      server.apply(
        'meshconfigs',
        meshConfig({
          sidecar,
          traffic: { outboundPortExclusionList: [6379, 0], outboundIPRangeExclusionList: ['10.0.0.0/8'] },
        }),
      );
      const { provider: own, problems } = await start();
      assert.deepEqual(own.meshConfig()?.sidecar, sidecar);
      assert.deepEqual(own.meshConfig()?.traffic.outboundPortExclusionList, [6379]);
      assert.equal(problems()[0]?.field, '/spec/traffic/outboundPortExclusionList/1');
    });
  });

  describe('pods', () => {
    it('tell where there are sidecars of this mesh, and not of another', async () => {
      const of = (mesh: Record<string, string>): object => ({
        annotations: { 'tulle.dev/injected': '0.1.0', ...mesh },
      });
      server.apply('pods', pod('a', { ...of({ 'tulle.dev/mesh': 'osm' }) }, 'ours'));
      server.apply('pods', pod('b', { ...of({}) }, 'older'));
      server.apply('pods', pod('c', { ...of({ 'tulle.dev/mesh': 'other' }) }, 'theirs'));
      const { provider: own } = await start();
      assert.deepEqual([...own.pods.namespaces()].sort(), ['older', 'ours']);
    });

    it('are meshed when they were injected, whatever they say of themselves', async () => {
      const annotations = {
        'tulle.dev/injected': '0.1.0',
        'tulle.dev/inbound-address': '10.9.9.9:1',
        'tulle.dev/app-address': 'http://evil',
      };
      server.apply('pods', pod('injected', { annotations }));
      server.apply('pods', pod('bare', { annotations: {} }));
      server.apply('pods', pod('pretends', { spec: { initContainers: [] } }));
      server.apply('pods', pod('host', { spec: { hostNetwork: true } }));
      const { latest } = await start();
      const [injected, ...others] = latest().pods;
      assert.deepEqual(injected, {
        namespace: 'shop',
        name: 'injected',
        serviceAccount: 'injected',
        labels: { app: 'injected' },
        ip: '10.244.0.9',
        ready: true,
        meshed: true,
        ports: [{ name: 'http', port: 8080 }],
        sidecar: 'envoy',
      });
      assert.deepEqual(
        others.map(({ name, meshed }) => [name, meshed]),
        [
          ['bare', false],
          ['pretends', false],
          ['host', false],
        ],
      );
    });

    it('without an address, or whose containers have ended, are nobody', async () => {
      server.apply('pods', pod('pending', { status: { podIP: undefined, podIPs: undefined } }));
      server.apply('pods', pod('done', { status: { phase: 'Succeeded' } }));
      const { latest, until, provider: own } = await start();
      assert.deepEqual(latest().pods, []);
      assert.equal(own.pods.find('shop', 'done'), undefined);
      assert.deepEqual(own.pods.find('shop', 'pending')?.ips, []);
      server.apply('pods', pod('pending'));
      await until(() => latest().pods.length === 1);
    });

    it('without an address are in the mesh where they start fast, if they have a sidecar; the address is told once', async () => {
      const unaddressed = { status: { podIP: undefined, podIPs: undefined, conditions: [] } };
      const annotations = { 'tulle.dev/injected': '0.1.0', 'tulle.dev/fast-start': 'enabled' };
      server.apply('pods', pod('starting', { ...unaddressed, annotations }));
      server.apply('pods', pod('bare', { ...unaddressed, annotations: {} }));
      const { latest, until, provider: own } = await start({ starting: true });
      assert.deepEqual(
        latest().pods.map(({ name, ip }) => [name, ip]),
        [['starting', '']],
      );
      const told: unknown[] = [];
      own.pods.onAddress((started) => told.push(started));
      assert.equal(own.pods.find('shop', 'starting')?.startsFast, false, 'it is on no node');
      server.apply('pods', pod('starting', { ...unaddressed, annotations, spec: { nodeName: 'one' } }));
      await until(() => own.pods.find('shop', 'starting')?.startsFast === true);
      assert.equal(
        own.pods.whose((ip) => ip === '10.244.0.9'),
        undefined,
      );
      for (const ready of ['False', 'True'])
        server.apply(
          'pods',
          pod('starting', { status: { hostIP: '10.1.0.1', conditions: [{ type: 'Ready', status: ready }] } }),
        );
      await until(() => latest().pods[0]?.ready === true);
      assert.deepEqual(told, [{ namespace: 'shop', name: 'starting', uid: 'uid-2', ips: ['10.244.0.9'] }]);
      assert.equal(
        own.pods.whose((ip) => ip === '10.244.0.9'),
        'pod shop/starting',
      );
      assert.equal(
        own.pods.whose((ip) => ip === '10.1.0.1'),
        'the node of pod shop/starting',
      );
    });

    it('that start fast have no address while they have no sandbox, whatever is told of the one before', async () => {
      const annotations = { 'tulle.dev/injected': '0.1.0', 'tulle.dev/fast-start': 'enabled' };
      const conditions = [{ type: 'PodReadyToStartContainers', status: 'False' }];
      const spec = { nodeName: 'one' };
      server.apply('pods', pod('fast', { annotations, spec, status: { conditions } }));
      server.apply('pods', pod('slow', { spec, status: { conditions } }));
      const { provider: own, until } = await start({ starting: true });
      assert.deepEqual([own.pods.find('shop', 'fast')?.ips, own.pods.find('shop', 'slow')?.ips], [[], ['10.244.0.9']]);
      const told: string[] = [];
      own.pods.onAddress(({ name }) => told.push(name));
      server.apply('pods', pod('fast', { annotations, spec }));
      await until(() => own.pods.find('shop', 'fast')?.ips.length === 1);
      assert.deepEqual(told, ['fast']);
    });

    it('are owned by the Deployment, not by its ReplicaSet', async () => {
      const labels = { 'pod-template-hash': 'abc12' };
      const ownerReferences = [{ kind: 'ReplicaSet', name: 'web-abc12', controller: true }];
      server.apply('pods', pod('web-abc12-x', { labels, ownerReferences }));
      const { latest } = await start();
      assert.equal(latest().pods[0]?.owner, 'shop/Deployment/web');
    });

    it('are known with uid, addresses and account, and their end is told once', async () => {
      server.apply('pods', pod('web'));
      server.apply('pods', pod('job'));
      server.apply('pods', pod('db-0'));
      const { provider: own, latest, until } = await start();
      const known = own.pods.find('shop', 'web');
      assert.deepEqual(known, {
        uid: 'uid-2',
        ips: ['10.244.0.9'],
        serviceAccount: 'web',
        deleting: false,
        startsFast: false,
      });
      const removed: string[] = [];
      own.pods.subscribe(({ name, uid }) => removed.push(`${name} ${uid}`));
      server.apply('pods', pod('web', { deletionTimestamp: '2026-11-21T12:00:00Z' }));
      await until(() => latest().pods[0]?.ready === false);
      assert.equal(own.pods.find('shop', 'web')?.deleting, true);
      server.remove('pods', 'shop/web');
      server.apply('pods', pod('job', { status: { phase: 'Succeeded' } }));
      server.remove('pods', 'shop/job');
      server.remove('pods', 'shop/db-0', { silently: true });
      server.apply('pods', pod('db-0'));
      await until(() => latest().pods.length === 1 && own.pods.find('shop', 'db-0')?.uid === 'uid-5');
      assert.deepEqual(removed, ['web uid-2', 'job uid-3', 'db-0 uid-4']);
    });

    it('that are too new to be known are looked up once for all who ask', async () => {
      const { provider: own } = await start();
      const path = '/api/v1/namespaces/shop/pods/new';
      server.interpose(path, (_, response) => sendJson(response, 200, { ...pod('new', { uid: 'u' }) }), 9);
      const found = await Promise.all([own.pods.lookUp('shop', 'new'), own.pods.lookUp('shop', 'new')]);
      assert.deepEqual(found[0], {
        uid: 'u',
        ips: ['10.244.0.9'],
        serviceAccount: 'new',
        deleting: false,
        startsFast: false,
      });
      for (let i = 0; i < 20; i++) await own.pods.lookUp('shop', 'new');
      assert.equal(server.requests.filter((request) => request.path === path).length, 1);
      assert.equal(await own.pods.lookUp('shop', 'nobody'), undefined);
    });
  });

  describe('SMI objects', () => {
    const versions = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'];

    it('are taken in when their kind is installed later', async () => {
      const { latest, until } = await start();
      assert.deepEqual(latest().smi, []);
      server.install('split.smi-spec.io', versions, 'TrafficSplit', 'trafficsplits');
      server.apply('trafficsplits', split('split.smi-spec.io/v1alpha4', [1, 2]));
      await until(() => latest().smi.length === 1);
    });

    it('have the version that their fields tell, though all are read in the newest', async () => {
      server.install('split.smi-spec.io', versions, 'TrafficSplit', 'trafficsplits');
      server.apply('trafficsplits', split('split.smi-spec.io/v1alpha1', ['20', '80']));
      const { latest, until } = await start();
      assert.equal(
        server.requests.some(({ path }) => path === '/apis/split.smi-spec.io/v1alpha4/trafficsplits'),
        true,
      );
      assert.equal(latest().smi[0]?.apiVersion, 'split.smi-spec.io/v1alpha1');
      server.apply('trafficsplits', split('split.smi-spec.io/v1alpha2', [20, 80]));
      await until(() => latest().smi[0]?.apiVersion === 'split.smi-spec.io/v1alpha4');
    });

    it('are read from an installation that serves only an old version', async () => {
      server.install('split.smi-spec.io', ['v1alpha2'], 'TrafficSplit', 'trafficsplits');
      server.apply('trafficsplits', split('split.smi-spec.io/v1alpha2', [1]));
      const { latest } = await start();
      assert.equal(latest().smi[0]?.apiVersion, 'split.smi-spec.io/v1alpha2');
    });

    it('hold no more than is read', async () => {
      server.install('split.smi-spec.io', versions, 'TrafficSplit', 'trafficsplits');
      const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', keep: 'me' };
      const object = split('split.smi-spec.io/v1alpha4', [1]);
      server.apply('trafficsplits', { ...object, metadata: { ...object.metadata, annotations }, status: { big: 'x' } });
      const { latest } = await start();
      assert.deepEqual(latest().smi[0]?.metadata, { name: 'cart', namespace: 'shop', annotations: { keep: 'me' } });
      assert.equal('status' in (latest().smi[0] ?? {}), false);
    });
  });

  it('recognises policies of OSM that are not in force, and says so of each in a meshed namespace', async () => {
    server.install('policy.openservicemesh.io', ['v1alpha1'], 'Egress', 'egresses');
    server.install('policy.openservicemesh.io', ['v1alpha1'], 'Retry', 'retries');
    const policy = (kind: string, name: string, in_: string): FakeObject => ({
      apiVersion: 'policy.openservicemesh.io/v1alpha1',
      kind,
      metadata: { name, namespace: in_ },
    });
    server.apply('egresses', policy('Egress', 'github', 'shop'));
    server.apply('egresses', policy('Egress', 'github', 'unmeshed'));
    const { problems, until, provider: own } = await start();
    assert.deepEqual(
      problems().map(({ resource, reason }) => [resource.kind, resource.namespace, reason]),
      [['Egress', 'shop', 'KindUnsupported']],
    );
    assert.deepEqual(own.findObject(problems()[0]?.resource ?? assert.fail()), {
      uid: 'uid-2',
      apiVersion: 'policy.openservicemesh.io/v1alpha1',
    });
    server.apply('retries', policy('Retry', 'often', 'shop'));
    await until(() => problems().length === 2);
    server.remove('egresses', 'shop/github');
    await until(() => problems().length === 1);
  });

  it('knows the labels and annotations of namespaces, and tells when they change', async () => {
    const annotations = { 'openservicemesh.io/sidecar-injection': 'enabled', 'other.io/huge': 'x'.repeat(1000) };
    server.apply('namespaces', namespace('shop', { ...monitored, team: 'a' }, annotations));
    const { provider: own } = await start();
    assert.deepEqual(own.namespaces.find('shop'), {
      name: 'shop',
      labels: { ...monitored, team: 'a' },
      annotations: { 'openservicemesh.io/sidecar-injection': 'enabled' },
      meshed: true,
    });
    const changed = new Promise<void>((resolve) => own.namespaces.subscribe(resolve));
    server.remove('namespaces', '/shop');
    await changed;
    assert.equal(own.namespaces.find('shop'), undefined);
  });

  it('sees a namespace that was deleted and made again unseen as it is now, and what is in it', async () => {
    server.apply('services', service('old'));
    const { latest, until } = await start();
    for (const plural of ['namespaces', 'services']) {
      await server.watched(plural);
      server.stallWatches(plural);
    }
    server.remove('services', 'shop/old', { silently: true });
    server.remove('namespaces', '/shop', { silently: true });
    server.apply('namespaces', namespace('shop', monitored, { 'tulle.dev/mode': 'enforce' }));
    server.apply('services', service('new'));
    server.forgetHistory('event');
    server.breakWatches('services', 'reset');
    server.breakWatches('namespaces', 'reset');
    await until(() => latest().namespaces[0]?.mode === 'enforce' && latest().services[0]?.name === 'new');
    assert.equal(latest().services.length, 1);
  });

  it('waits for what policy is made of, however long, and not for what is not in force', async () => {
    server.install('policy.openservicemesh.io', ['v1alpha1'], 'Egress', 'egresses');
    server.install('split.smi-spec.io', ['v1alpha4'], 'TrafficSplit', 'trafficsplits');
    server.apply('trafficsplits', split('split.smi-spec.io/v1alpha4', [1]));
    const forbid: Parameters<FakeApiServer['interpose']>[1] = (_, response) =>
      sendStatus(response, 403, 'Forbidden', 'it is forbidden');
    server.interpose('/apis/policy.openservicemesh.io/v1alpha1/egresses', forbid, 1_000_000);
    server.interpose('/apis/split.smi-spec.io/v1alpha4/trafficsplits', forbid, 20);
    const { snapshots, provider: own } = await start();
    assert.equal(snapshots[0]?.smi.length, 1);
    const egresses = own.status().find(({ resource }) => resource.startsWith('egresses'));
    assert.equal(egresses?.synced, false);
    assert.equal(egresses.error?.status, 403);
  });

  it('ends when it is told to', async () => {
    const { provider: own } = await start();
    stop.abort();
    await own.done;
    assert.ok(own.status().every(({ phase }) => phase === 'ended'));
  });

  it('fails when its reader does', async () => {
    const { provider: own } = await start({ during: () => Promise.reject(new Error('the reader is broken')) });
    await assert.rejects(own.done, /the reader is broken/);
    provider = undefined;
  });

  it('counts what it holds, and how often it had to begin again', async () => {
    server.apply('pods', pod('web'));
    const { provider: own, latest, until } = await start();
    const metrics = new Metrics();
    declareWatchMetrics(metrics, () => own.status(), Date.now);
    await server.watched('pods');
    server.breakWatches('pods', 'reset');
    server.apply('pods', pod('web', { labels: { new: 'one' } }));
    await until(() => latest().pods[0]?.labels['new'] === 'one');
    metrics.render();
    const text = metrics.render();
    assert.match(text, /^tulle_watch_objects\{resource="pods"\} 1$/m);
    assert.match(text, /^tulle_watch_synced\{resource="pods"\} 1$/m);
    assert.match(text, /^tulle_watch_restarts_total\{resource="pods",reason="Unreachable"\} 1$/m);
    assert.match(text, /^tulle_watch_last_event_age_seconds\{resource="pods"\} /m);
  });
});

/** Asks as the provider does: when the answer is there, what was sent before has gone out, too. */
async function readAll(server: FakeApiServer, name: string): Promise<void> {
  await server.cluster.request('GET', `/api/v1/namespaces/shop/services/${name}`);
}
