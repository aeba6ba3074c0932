import assert from 'node:assert/strict';
import { type InstalledCluster, startInstalledCluster } from './check.fixture.ts';
import { type FakeObject, failure } from './fake-cluster.fixture.ts';

const inMesh = { 'openservicemesh.io/monitored-by': 'osm' };

describe('what tulle check finds', function () {
  this.timeout(60_000);
  let mesh: InstalledCluster;
  beforeEach(async () => {
    mesh = await startInstalledCluster();
  });
  afterEach(() => mesh.close());

  const put = (path: string, object: object): void => void mesh.cluster.objects.set(path, object as FakeObject);
  const namespace = (
    name: string,
    annotations: Record<string, string>,
    labels: Record<string, string> = inMesh,
  ): void => put(`/api/v1/namespaces/${name}`, { metadata: { name, labels, annotations } });
  const pod = (place: string, name: string): void =>
    put(`/api/v1/namespaces/${place}/pods/${name}`, {
      metadata: { name, namespace: place, annotations: { 'tulle.dev/injected': '0.1.0' } },
      spec: { containers: [{ name: 'app' }, { name: 'envoy' }] },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    });

  describe('of modes', () => {
    it('is wrong where a namespace names none, which enforces, and how to write it', async () => {
      namespace('shop', { 'tulle.dev/mode': 'strict' });
      const [found, ...others] = await mesh.find('namespaces');
      assert.deepEqual([found?.name, found?.status, others], ['shop', 'error', []]);
      assert.equal(found?.detail, 'enforce, since "strict" is no mode');
      assert.equal(
        found?.hint,
        'kubectl annotate namespace shop --overwrite tulle.dev/mode=enforce, or permissive or shadow',
      );
      assert.equal((await mesh.check()).exitCode, 1);
    });

    it('names the label where that says it', async () => {
      namespace('shop', {}, { ...inMesh, 'tulle.dev/mode': 'Enforce' });
      const [found] = await mesh.find('namespaces');
      assert.match(found?.hint ?? '', /^kubectl label namespace shop --overwrite tulle\.dev\/mode=enforce/);
    });

    it('is wrong where the MeshConfig names none', async () => {
      const resource = { kind: 'MeshConfig', namespace: 'tulle-system', name: 'osm-mesh-config' };
      const [message, fix] = ['there is no mode "shaddow", so enforce is taken', 'write permissive, shadow or enforce'];
      const field = '/metadata/annotations/tulle.dev~1mode';
      mesh.report = {
        mode: 'enforce',
        modeFrom: 'MeshConfig osm-mesh-config',
        problems: [{ resource, field, severity: 'error', reason: 'FieldInvalid', message, fix }],
      };
      const found = (await mesh.find('control plane')).find(({ name }) => name === 'mode');
      assert.deepEqual(
        [found?.status, found?.detail, found?.hint],
        ['error', `enforce, by MeshConfig osm-mesh-config: ${message}`, fix],
      );
      assert.deepEqual(
        (await mesh.find('policy')).map(({ status }) => status),
        ['ok'],
        'told once',
      );
    });
  });

  describe('of pods that can not be created', () => {
    const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
    const quota = 'Error creating: pods "web-1-x" is forbidden: exceeded quota: q, requested: limits.cpu=10m';
    function refusal(name: string, kind: string, owner: string, message: string, minutes = 1): void {
      put(`/api/v1/namespaces/shop/events/${name}`, {
        metadata: { name, namespace: 'shop' },
        reason: 'FailedCreate',
        message,
        lastTimestamp: ago(minutes),
        involvedObject: { kind, name: owner, namespace: 'shop', apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1' },
      });
    }
    const replicaSet = (name: string, wanted: number, there: number): void =>
      put(`/apis/apps/v1/namespaces/shop/replicasets/${name}`, {
        metadata: { name, namespace: 'shop' },
        spec: { replicas: wanted },
        status: { replicas: there },
      });
    const details = async (): Promise<readonly string[]> =>
      (await mesh.find('namespaces')).map(({ status, detail }) => `${status} ${detail}`);

    it('is wrong, with the newest that the API server said of each workload', async () => {
      namespace('shop', {});
      replicaSet('web-1', 1, 0);
      refusal('a', 'ReplicaSet', 'web-1', 'Error creating: something of before', 30);
      refusal('b', 'ReplicaSet', 'web-1', `(combined from similar events): ${quota}`);
      assert.deepEqual(await details(), [`error ReplicaSet web-1 has 0 of 1 pods: ${quota}`]);
      assert.equal((await mesh.check()).exitCode, 1);
      assert.equal((await mesh.find('namespaces'))[0]?.hint, 'kubectl describe resourcequota -n shop');
    });

    it('leaves out what has its pods meanwhile, is gone, or was refused long ago', async () => {
      namespace('shop', {});
      replicaSet('well', 1, 1);
      replicaSet('old', 1, 0);
      refusal('a', 'ReplicaSet', 'well', quota);
      refusal('b', 'ReplicaSet', 'gone', quota);
      refusal('c', 'ReplicaSet', 'old', quota, 61);
      refusal('d', 'constructor', 'old', quota);
      assert.deepEqual(await details(), ['ok permissive, by chart value mode; 0 pods with sidecar']);
    });

    it('sees those of StatefulSets, DaemonSets and Jobs', async () => {
      namespace('shop', {});
      const part = (kind: string, object: object): void => {
        put(`/apis/${kind === 'job' ? 'batch' : 'apps'}/v1/namespaces/shop/${kind}s/${kind}`, {
          metadata: { name: kind, namespace: 'shop' },
          ...object,
        });
      };
      part('statefulset', { spec: { replicas: 3 }, status: { replicas: 1 } });
      part('daemonset', { spec: {}, status: { desiredNumberScheduled: 2, currentNumberScheduled: 1 } });
      part('job', { spec: { parallelism: 2, completions: 4 }, status: { succeeded: 3 } });
      for (const kind of ['StatefulSet', 'DaemonSet', 'Job']) refusal(kind, kind, kind.toLowerCase(), 'no');
      assert.deepEqual(
        new Set(await details()),
        new Set([
          'error StatefulSet statefulset has 1 of 3 pods: no',
          'error DaemonSet daemonset has 1 of 2 pods: no',
          'error Job job has 0 of 1 pods: no',
        ]),
      );
    });

    it('says nothing of a Job that has ended or is suspended', async () => {
      namespace('shop', {});
      const job = (name: string, object: object): void => {
        put(`/apis/batch/v1/namespaces/shop/jobs/${name}`, { metadata: { name, namespace: 'shop' }, ...object });
        refusal(name, 'Job', name, 'no');
      };
      job('failed', { spec: {}, status: { conditions: [{ type: 'Failed', status: 'True' }] } });
      job('waits', { spec: { suspend: true } });
      assert.equal((await details()).length, 1);
      assert.match((await details())[0] ?? '', /^ok /);
    });

    it('tells a few of many, and what others wrote without what a terminal obeys', async () => {
      namespace('shop', {});
      for (let i = 0; i < 9; i++) {
        replicaSet(`web-${i}`, 1, 0);
        refusal(`e${i}`, 'ReplicaSet', `web-${i}`, `no\u001b[2J\n${'x'.repeat(10_000)}`);
      }
      const found = await details();
      assert.equal(found.length, 6);
      assert.equal(found[5], "error 4 more workloads lack pods that can't be created");
      assert.ok(found.every((line) => line.length < 700 && !/\p{Cc}/u.test(line)));
    });

    it('says where to look when the injector is not reached, or limits are in the way', async () => {
      namespace('shop', {});
      const hintFor = async (message: string): Promise<string> => {
        replicaSet('web-1', 1, 0);
        refusal('a', 'ReplicaSet', 'web-1', message);
        return (await mesh.find('namespaces'))[0]?.hint ?? '';
      };
      const call =
        'Error creating: Internal error occurred: failed calling webhook "openservicemesh-io.injector.tulle.dev"';
      assert.match(await hintFor(`${call}: context deadline exceeded`), /port 9090.*kubectl logs -n tulle-system/);
      const limit = 'maximum memory usage per Container is 64Mi, but limit is 128Mi';
      assert.match(
        await hintFor(`Error creating: pods "a" is forbidden: ${limit}`),
        /^kubectl describe limitrange -n shop/,
      );
      assert.equal(await hintFor('no'), 'kubectl describe replicaset -n shop web-1');
    });

    it('says once that events may not be read', async () => {
      namespace('shop', {});
      namespace('cart', {});
      mesh.cluster.intercept = (_, path) =>
        path.endsWith('/events') ? failure(403, 'Forbidden', 'events is forbidden') : undefined;
      const found = (await mesh.find('namespaces')).filter(({ status }) => status === 'warning');
      assert.deepEqual(
        found.map(({ name, detail }) => [name, detail]),
        [['events', "you may not read them: pods that can't be created are not seen"]],
      );
    });

    it('names an annotation that refuses every new pod', async () => {
      namespace('shop', { 'openservicemesh.io/sidecar-injection': 'maybe', 'tulle.dev/metrics': 'perhaps' });
      pod('shop', 'cart');
      assert.deepEqual(await details(), [
        'error every new pod is refused, since its annotation openservicemesh.io/sidecar-injection is "maybe"',
        'error every new pod is refused, since its annotation tulle.dev/metrics is "perhaps"',
      ]);
      const [first] = await mesh.find('namespaces');
      assert.equal(
        first?.hint,
        'kubectl annotate namespace shop --overwrite openservicemesh.io/sidecar-injection=enabled, or disabled',
      );
    });

    it('says of Pod Security once what it does, and no more that all is well', async () => {
      namespace('shop', {}, { ...inMesh, 'pod-security.kubernetes.io/enforce': 'restricted' });
      assert.deepEqual(await details(), [
        'warning Pod Security "restricted" refuses the init container that redirects traffic',
      ]);
      replicaSet('web-1', 1, 0);
      const message =
        'Error creating: pods "web-1-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot';
      refusal('a', 'ReplicaSet', 'web-1', message);
      assert.deepEqual(await details(), [`error ReplicaSet web-1 has 0 of 1 pods: ${message}`]);
      assert.equal(
        (await mesh.find('namespaces'))[0]?.hint,
        'kubectl label namespace shop pod-security.kubernetes.io/enforce=privileged --overwrite',
      );
    });
  });

  describe('of sidecars', () => {
    const proxy = (pod: string, synced: boolean): object => ({ pod, types: [{ typeUrl: 'a.b/c.Cluster', synced }] });

    it('counts the pods of the mesh, and not those of namespaces that are ignored, or its own trials', async () => {
      namespace('shop', {});
      namespace('quiet', {}, { ...inMesh, 'openservicemesh.io/ignore': 'true' });
      pod('shop', 'cart');
      pod('quiet', 'old');
      mesh.report = {
        proxies: [proxy('shop/cart', true), proxy('quiet/old', false), proxy('tulle-check-x/server', false)],
        pods: [{ pod: 'shop/cart' }],
      };
      assert.deepEqual(
        (await mesh.find('sidecars')).map(({ status, name, detail, hint }) => [status, name, detail, hint]),
        [
          [
            'warning',
            'not in the mesh',
            '1 sidecar in quiet goes on with what it was told last, until it is restarted',
            'kubectl rollout restart deployment,statefulset,daemonset -n quiet',
          ],
          ['ok', 'connected and in sync', '1 of 1', undefined],
        ],
      );
    });

    it('goes on to watch those of a namespace that left and is still served', async () => {
      mesh.report = { proxies: [proxy('left/cart', false)], pods: [{ pod: 'left/cart' }] };
      assert.deepEqual(
        (await mesh.find('sidecars')).map(({ status, detail }) => [status, detail]),
        [['warning', '1 of 1 wait for an acknowledgement']],
      );
    });

    it('counts a pod once that is connected twice, and not one that is gone', async () => {
      namespace('shop', {});
      pod('shop', 'cart');
      mesh.report = { proxies: [proxy('shop/cart', true), proxy('shop/cart', true), proxy('shop/gone', true)] };
      assert.deepEqual(
        (await mesh.find('sidecars')).map(({ status, detail }) => [status, detail]),
        [['ok', '1 of 1']],
      );
    });
  });

  describe('of what is missing', () => {
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

    it('names all CRDs that are not there in one line', async () => {
      mesh.cluster.objects.delete(`${crds}/tcproutes.specs.smi-spec.io`);
      mesh.cluster.objects.delete(`${crds}/udproutes.specs.smi-spec.io`);
      const [missing, rest, ...others] = await mesh.find('kinds');
      assert.deepEqual(
        [missing?.status, missing?.detail, rest?.status, others],
        ['error', '2 of 7 are not installed: tcproutes.specs.smi-spec.io, udproutes.specs.smi-spec.io', 'ok', []],
      );
      assert.match(missing?.hint ?? '', /^helm upgrade/);
    });

    it('warns where only those are not there that can be done without', async () => {
      mesh.cluster.objects.delete(`${crds}/udproutes.specs.smi-spec.io`);
      assert.equal((await mesh.find('kinds'))[0]?.status, 'warning');
    });

    it('says that the control plane is scaled to 0, and how it comes back', async () => {
      const path = '/apis/apps/v1/namespaces/tulle-system/deployments/tulle-controller';
      const deployment = mesh.cluster.objects.get(path) as FakeObject;
      put(path, { ...deployment, spec: { ...(deployment['spec'] as object), replicas: 0 }, status: {} });
      const [found] = await mesh.find('control plane');
      assert.deepEqual(
        [found?.status, found?.detail, found?.hint],
        [
          'error',
          'is scaled to 0: no pod starts in meshed namespaces, and sidecars keep the policy that they had',
          'kubectl scale -n tulle-system deployment/tulle-controller --replicas=2',
        ],
      );
    });
  });
});
