import assert from 'node:assert/strict';
import { applyObjects, pathOf, restart, rolledOut } from '../support/kubernetes-objects.ts';
import type { Tally } from './apps/load.ts';
import { followLoads } from './load-of-pods.ts';
import { meshName } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { describeTally, namespaceObject, openPeer, peerObjects, serviceObject, targetObjects } from './peers.ts';

const [rolling, joining] = ['e2e-rolling', 'e2e-joining'];
const perSecond = 100;

function assertNoneLost(tallies: ReadonlyMap<string, Tally>, least: number): void {
  const all = [...tallies];
  const text = all.map(([pod, tally]) => `${pod}: ${describeTally(tally)}`).join('\n');
  assert.equal(
    all.reduce((sum, [, { failed }]) => sum + failed, 0),
    0,
    text,
  );
  assert.ok(all.reduce((sum, [, { sent }]) => sum + sent, 0) >= least, text);
}

describeMesh('pods that come and go under load', [rolling, joining], (mesh) => {
  // Without a sidecar nobody but the app itself can end its connections well.
  const serverObjects = (namespace: string) => [
    ...peerObjects({
      namespace,
      name: 'server',
      listen: ['http:8080'],
      replicas: 2,
      env: namespace === joining ? { DRAIN_MS: '2000' } : {},
    }),
    serviceObject(namespace, 'server', [{ port: 8080, name: 'http' }]),
  ];
  const objects = (namespace: string) => [
    ...serverObjects(namespace),
    ...peerObjects({ namespace, name: 'client', load: { url: `http://server.${namespace}:8080/x`, perSecond } }),
  ];

  before(() =>
    preparing(mesh(), 'rolling', [rolling, joining], async () => {
      const { api } = mesh();
      await applyObjects(api, [
        namespaceObject(rolling, { mode: 'enforce' }),
        ...targetObjects(rolling, 'client', 'server', ['client']),
        ...serverObjects(rolling),
        namespaceObject(joining, { mesh: '' }),
        ...serverObjects(joining),
      ]);
      await Promise.all([
        rolledOut(api, 'Deployment', rolling, 'server'),
        rolledOut(api, 'Deployment', joining, 'server'),
      ]);
      // The Service is known to the node's proxy as well before the first un-meshed request.
      await applyObjects(api, peerObjects({ namespace: joining, name: 'probe' }));
      const probe = await openPeer(api, joining, 'probe');
      await probe.callUntil(`http://server.${joining}:8080/`, ({ status }) => status === 200);
    }),
  );

  it('a rolling restart of client and server under 100 requests a second loses none', async () => {
    const { api } = mesh();
    await applyObjects(api, objects(rolling));
    await openPeer(api, rolling, 'client');
    const loads = followLoads(api, rolling, 'client');
    await restart(api, 'Deployment', rolling, 'server');
    await rolledOut(api, 'Deployment', rolling, 'server');
    await restart(api, 'Deployment', rolling, 'client');
    await rolledOut(api, 'Deployment', rolling, 'client');
    await Promise.all(['server', 'client'].map((name) => restart(api, 'Deployment', rolling, name)));
    await Promise.all(['server', 'client'].map((name) => rolledOut(api, 'Deployment', rolling, name)));
    assertNoneLost(await loads.stop(), 500);
  });

  it('a live namespace that is put into the mesh under load, half of it at a time, loses none', async () => {
    const { api } = mesh();
    await applyObjects(api, objects(joining));
    await openPeer(api, joining, 'client');
    const loads = followLoads(api, joining, 'client');
    const labels = { 'openservicemesh.io/monitored-by': meshName };
    await api.call(
      'PATCH',
      pathOf('v1', 'Namespace', undefined, joining),
      { metadata: { labels } },
      'application/merge-patch+json',
    );
    // Servers first: an un-meshed client meets meshed servers; then the client.
    await restart(api, 'Deployment', joining, 'server');
    await rolledOut(api, 'Deployment', joining, 'server');
    await restart(api, 'Deployment', joining, 'client');
    await rolledOut(api, 'Deployment', joining, 'client');
    // And out again, the client first: a meshed server meets an un-meshed client, a meshed client un-meshed servers.
    await api.call(
      'PATCH',
      pathOf('v1', 'Namespace', undefined, joining),
      { metadata: { labels: { 'openservicemesh.io/monitored-by': null } } },
      'application/merge-patch+json',
    );
    await restart(api, 'Deployment', joining, 'server');
    await rolledOut(api, 'Deployment', joining, 'server');
    assertNoneLost(await loads.stop(), 500);
  });
});
