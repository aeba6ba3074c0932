import assert from 'node:assert/strict';
import {
  applyObject,
  applyObjects,
  deleteObject,
  isReady,
  pathOf,
  podsOf,
  restart,
  rolledOut,
  until,
} from '../support/kubernetes-objects.ts';
import { chart, controlNamespace, helm, meshName, release, upgradeArguments } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import {
  describeTally,
  namespaceObject,
  openPeer,
  peerObjects,
  serviceObject,
  targetObjects,
  type Peer,
} from './peers.ts';

const namespace = 'e2e-upgrade';
const counted = 'e2e-counted';

// Last of all files by its name: it takes the mesh away.
describeMesh('upgrade, rollback and uninstall', [namespace, counted], (mesh) => {
  let client: Peer | undefined;
  const url = `http://server.${namespace}:8080/`;
  const target = targetObjects(namespace, 'client', 'server', ['client']);

  before(() =>
    preparing(mesh(), 'upgrade', [namespace], async () => {
      const { api } = mesh();
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        ...peerObjects({ namespace, name: 'server', listen: ['http:8080'] }),
        serviceObject(namespace, 'server', [{ port: 8080, name: 'http' }]),
        ...peerObjects({ namespace, name: 'client' }),
        ...target,
      ]);
      [client] = await Promise.all([openPeer(api, namespace, 'client'), openPeer(api, namespace, 'server')]);
      await client.callUntil(url, ({ status }) => status === 200);
    }),
  );

  /** Traffic goes on while the control plane is exchanged, and policy is in force afterwards. */
  async function keepsTraffic(change: () => Promise<unknown>): Promise<void> {
    const { api } = mesh();
    await client!.startLoad({ url, perSecond: 50 });
    await change();
    const tally = await client!.stopLoad();
    assert.equal(tally.failed, 0, describeTally(tally));
    await deleteObject(api, target[1]!);
    await client!.callUntil(url, ({ status }) => status === 403, 20);
    await applyObject(api, target[1]!);
    await client!.callUntil(url, ({ status }) => status === 200, 20);
  }

  it('helm upgrade with another value loses no request', () =>
    keepsTraffic(() =>
      helm('upgrade', release, chart, ...upgradeArguments, '--reuse-values', '--set', 'logLevel=debug'),
    ));

  it('helm rollback loses none', () => keepsTraffic(() => helm('rollback', release, ...upgradeArguments)));

  it('an upgrade that would strand the control plane that runs is refused, and nothing is changed', async () => {
    const { api } = mesh();
    const webhook = pathOf(
      'admissionregistration.k8s.io/v1',
      'MutatingWebhookConfiguration',
      undefined,
      `tulle-injector-${meshName}`,
    );
    const upgrade = (setting: string): Promise<unknown> =>
      helm('upgrade', release, chart, ...upgradeArguments, '--reuse-values', '--set', setting);
    await keepsTraffic(async () => {
      await assert.rejects(upgrade('meshName=other'), /the mesh of this release is "osm"/);
      await assert.rejects(
        upgrade('ca.existingSecret=nosuch'),
        /there is no Secret "nosuch" in namespace tulle-system/,
      );
      assert.ok(await api.find(webhook), 'pods are still injected');
    });
  });

  it('a namespace whose quota counts limits is meshed once the chart gives what it adds limits', async () => {
    const { api } = mesh();
    const settings = [
      'injection.resources.limits.cpu=500m',
      'injection.resources.limits.memory=256Mi',
      'injection.initResources.limits.cpu=500m',
    ];
    const pod = {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'counted', namespace: counted } },
      spec: {
        containers: [{ name: 'app', image: 'app', resources: { limits: { cpu: '100m', memory: '32Mi' } } }],
      },
    };
    const admit = (): Promise<unknown> => api.call('POST', `${pathOf('v1', 'Pod', counted)}?dryRun=All`, pod);
    await applyObjects(api, [
      namespaceObject(counted),
      {
        ...{ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'counted', namespace: counted } },
        spec: { hard: { 'limits.cpu': '2', 'limits.memory': '2Gi' } },
      },
    ]);
    await until('the quota and the account', 20, async () => {
      const quota = await api.find(pathOf('v1', 'ResourceQuota', counted, 'counted'));
      const account = await api.find(pathOf('v1', 'ServiceAccount', counted, 'default'));
      return quota?.status?.['used'] === undefined || account === undefined ? undefined : true;
    });
    await assert.rejects(admit(), /must specify limits\.cpu for: envoy,tulle-init/);
    await helm('upgrade', release, chart, ...upgradeArguments, '--reuse-values', '--set', settings.join(','));
    await until('limits on what is injected', 30, async () => {
      try {
        await admit();
        return true;
      } catch (error) {
        if (/must specify/.test(String(error))) return undefined;
        throw error;
      }
    });
    await helm('rollback', release, ...upgradeArguments);
  });

  it('traffic survives the controller’s end', async () => {
    const { api } = mesh();
    await client!.startLoad({ url, perSecond: 50 });
    const [pod] = await podsOf(api, controlNamespace, 'app=tulle-controller');
    await api.call('DELETE', `/api/v1/namespaces/${controlNamespace}/pods/${pod?.metadata.name}?gracePeriodSeconds=0`);
    await until('a new controller', 60, async () => {
      const pods = await podsOf(api, controlNamespace, 'app=tulle-controller');
      return pods.some((one) => one.metadata.name !== pod?.metadata.name && isReady(one)) || undefined;
    });
    const tally = await client!.stopLoad();
    assert.equal(tally.failed, 0, describeTally(tally));
  });

  it('uninstall leaves the CRDs with what is in them, and what the controller made for itself', async () => {
    const { api } = mesh();
    const said = await helm('uninstall', release, '-n', controlNamespace, '--wait', '--timeout', '60s');
    assert.match(said, /kept due to the resource policy/);
    const label = '?labelSelector=app.kubernetes.io%2Finstance%3Dtulle';
    const left: string[] = [];
    for (const [version, kind, where] of [
      ['rbac.authorization.k8s.io/v1', 'ClusterRole', undefined],
      ['rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', undefined],
      ['admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', undefined],
      ['admissionregistration.k8s.io/v1', 'ValidatingWebhookConfiguration', undefined],
      ['apps/v1', 'Deployment', controlNamespace],
      ['v1', 'Service', controlNamespace],
      ['v1', 'ServiceAccount', controlNamespace],
      ['rbac.authorization.k8s.io/v1', 'Role', controlNamespace],
    ] as const)
      left.push(
        ...(await api.list(`${pathOf(version, kind, where)}${label}`)).map(
          ({ metadata }) => `${kind} ${metadata.name}`,
        ),
      );
    assert.deepEqual(left, []);
    assert.ok(
      await api.find(
        pathOf('apiextensions.k8s.io/v1', 'CustomResourceDefinition', undefined, 'traffictargets.access.smi-spec.io'),
      ),
    );
    assert.ok(
      await api.find(pathOf('access.smi-spec.io/v1alpha3', 'TrafficTarget', namespace, 'client')),
      'policy stays',
    );
    // What the controller made, and nothing else of it in its namespace.
    const own = await Promise.all(
      (['Secret', 'ConfigMap'] as const).map(async (kind) =>
        (await api.list(pathOf('v1', kind, controlNamespace))).map(({ metadata }) => `${kind} ${metadata.name}`),
      ),
    );
    const unexpected = own
      .flat()
      .filter((name) => !['Secret tulle-ca', 'ConfigMap tulle-trust', 'ConfigMap kube-root-ca.crt'].includes(name));
    assert.deepEqual(unexpected, []);
  });

  it('pods start without the mesh afterwards, where the namespace still has its label', async () => {
    const { api } = mesh();
    await restart(api, 'Deployment', namespace, 'server');
    await rolledOut(api, 'Deployment', namespace, 'server');
    const [pod] = await podsOf(api, namespace, 'app=server');
    assert.equal(pod?.metadata.annotations?.['tulle.dev/injected'], undefined);
  });
});
