import assert from 'node:assert/strict';
import type { KubernetesObject } from '../support/kubernetes-api.ts';
import { applyObjects, pathOf, until } from '../support/kubernetes-objects.ts';
import { kubectl } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { namespaceObject, openPeer, peerObjects, peerPod, peerPodName, serviceObject, targetObjects } from './peers.ts';

const [namespace, ignored] = ['e2e-injection', 'e2e-ignored'];

describeMesh('which pods are injected, and how', [namespace, ignored], (mesh) => {
  before(() =>
    preparing(mesh(), 'injection', [namespace, ignored], async () => {
      const { api } = mesh();
      const ignoredNamespace = namespaceObject(ignored);
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        {
          ...ignoredNamespace,
          metadata: {
            ...ignoredNamespace.metadata,
            labels: { ...ignoredNamespace.metadata.labels, 'openservicemesh.io/ignore': 'true' },
          },
        },
        ...peerObjects({ namespace, name: 'server', listen: ['http:8080'] }),
        serviceObject(namespace, 'server', [{ port: 8080, name: 'http' }]),
        ...targetObjects(namespace, 'job', 'server', ['job']),
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'job', namespace } },
      ]);
      await peerPodName(api, namespace, 'server');
    }),
  );

  const pods = (where = namespace): string => pathOf('v1', 'Pod', where);
  const podObject = (
    name: string,
    more: { annotations?: Record<string, string>; spec?: object; container?: object } = {},
  ): KubernetesObject => {
    const { spec } = peerPod({
      namespace,
      name,
      account: 'default',
      ...(more.container ? { container: more.container } : {}),
    });
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, annotations: more.annotations ?? {} },
      spec: { ...spec, ...more.spec },
    };
  };
  const dryRun = (object: KubernetesObject, where = namespace) =>
    mesh().api.send('POST', `${pods(where)}?dryRun=All`, object);
  const isInjected = ({ spec }: KubernetesObject): boolean =>
    [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].some(({ name }) => name === 'envoy');

  async function admitted(object: KubernetesObject, where?: string): Promise<KubernetesObject> {
    const { status, body } = await dryRun(object, where);
    assert.equal(status, 201, body);
    return JSON.parse(body) as KubernetesObject;
  }

  it('a dry run shows the sidecar, and makes nothing', async () => {
    assert.ok(isInjected(await admitted(podObject('dry'))));
    assert.equal(await mesh().api.find(`${pods()}/dry`), undefined);
  });

  it('injected twice is injected once', async () => {
    const once = await admitted(podObject('twice'));
    const { metadata, spec } = once;
    const twice = await admitted({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'copy', annotations: metadata.annotations ?? {} },
      ...(spec ? { spec } : {}),
    });
    const names = ({ spec }: KubernetesObject): string[] => (spec?.initContainers ?? []).map(({ name }) => name);
    assert.deepEqual(names(twice), names(once));
  });

  it('hostNetwork, an opt-out and an ignored namespace are left alone', async () => {
    const onHost = podObject('on-host', { spec: { hostNetwork: true } });
    assert.equal(isInjected(await admitted(onHost)), false, 'hostNetwork');
    for (const key of ['openservicemesh.io/sidecar-injection', 'tulle.dev/sidecar-injection'])
      assert.equal(isInjected(await admitted(podObject('out', { annotations: { [key]: 'disabled' } }))), false, key);
    assert.equal(isInjected(await admitted(podObject('ignored'), ignored)), false, 'ignored namespace');
  });

  it('a pod that can’t be injected is refused, and told why', async () => {
    const wrongPort = podObject('wrong-port', {
      annotations: { 'openservicemesh.io/outbound-port-exclusion-list': 'many' },
    });
    const answer = await dryRun(wrongPort);
    assert.ok(answer.status >= 400, answer.body);
    assert.match(answer.body, /outbound-port-exclusion-list/);
    const asSidecar = podObject('as-sidecar', { container: { securityContext: { runAsUser: 1500 } } });
    const second = await dryRun(asSidecar);
    assert.ok(second.status >= 400, second.body);
    assert.match(second.body, /1500/);
  });

  it('log level and resources of a sidecar are the pod’s to set', async () => {
    const pod = await admitted(
      podObject('tuned', {
        annotations: {
          'tulle.dev/log-level': 'debug',
          'tulle.dev/sidecar-cpu-request': '25m',
          'tulle.dev/sidecar-memory-limit': '200Mi',
        },
      }),
    );
    const envoy = (pod.spec?.initContainers ?? []).find(({ name }) => name === 'envoy');
    const { requests, limits } = envoy?.['resources'] as Record<'requests' | 'limits', Record<string, string>>;
    assert.deepEqual([requests['cpu'], limits['memory']], ['25m', '200Mi']);
    assert.match(JSON.stringify([envoy?.['command'], envoy?.['args']]), /debug/);
  });

  it('a Job and a CronJob’s Job reach the mesh and end', async () => {
    const { api } = mesh();
    const fetchOnce = `fetch('http://server.${namespace}:8080/').then(a=>{console.log('status',a.status);process.exit(a.status===200?0:1)},e=>{console.log(e.cause);process.exit(1)})`;
    const { spec } = peerPod({ namespace, name: 'job' });
    const template = {
      spec: {
        ...spec,
        restartPolicy: 'Never',
        containers: [{ name: 'job', image: 'tulle-e2e/peer:1', command: ['node', '-e', fetchOnce] }],
      },
    };
    const job = { backoffLimit: 0, template };
    await applyObjects(api, [
      { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'once', namespace }, spec: job },
      {
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        metadata: { name: 'often', namespace },
        spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: job } },
      },
    ]);
    await kubectl(['create', 'job', '-n', namespace, 'now', '--from=cronjob/often']);
    for (const name of ['once', 'now'])
      await until(`Job ${name} complete`, 60, async () => {
        const { status } = await api.get(pathOf('batch/v1', 'Job', namespace, name));
        const failed = status?.conditions?.some(({ type }) => type === 'Failed');
        assert.notEqual(failed, true, await kubectl(['logs', '-n', namespace, `job/${name}`, '-c', 'job']));
        return status?.succeeded === 1 || undefined;
      });
    const [pod] = await api.list(`${pods()}?labelSelector=job-name%3Donce`);
    assert.ok(pod !== undefined && isInjected(pod));
  });

  it('an app meets its sidecar ready: its first request passes', async () => {
    const { api } = mesh();
    const load = { url: `http://server.${namespace}:8080/first`, perSecond: 50 };
    await applyObjects(api, peerObjects({ namespace, name: 'eager', account: 'job', load }));
    const peer = await openPeer(api, namespace, 'eager');
    const tally = await until('some requests', 20, async () => {
      const now = await peer.tally('start');
      return now.sent > 50 ? now : undefined;
    });
    assert.equal(tally.failed, 0, tally.failures.join('\n'));
  });
});
