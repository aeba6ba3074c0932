import assert from 'node:assert/strict';
import { pathOf, podsOf, isReady } from '../support/kubernetes-objects.ts';
import { controlNamespace } from './cluster.ts';
import { describeMesh } from './mesh.ts';

describeMesh('the install', [], (mesh) => {
  it('is Ready within a minute, with no value set', () => {
    const { installMs } = mesh();
    assert.ok(Number.isNaN(installMs) || installMs < 60_000, `${installMs} ms`);
  });

  it('says what holds and what comes next', () => {
    const { notes } = mesh();
    assert.match(notes, /permissive/i);
    assert.match(notes, /cluster\.local/);
  });

  it('runs its control plane restricted, as Pod Security has it', async () => {
    const { api } = mesh();
    const pods = await podsOf(api, controlNamespace);
    assert.ok(pods.length > 0 && pods.every(isReady));
    // A dry run of the label warns of each pod that breaks it.
    const answer = await api.send(
      'PATCH',
      `${pathOf('v1', 'Namespace', undefined, controlNamespace)}?dryRun=All`,
      { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } },
      'application/merge-patch+json',
    );
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['warning'], undefined);
  });

  it('makes a MeshConfig that says nothing of its own', async () => {
    const config = await mesh().api.get(
      pathOf('config.openservicemesh.io/v1alpha2', 'MeshConfig', controlNamespace, 'osm-mesh-config'),
    );
    assert.deepEqual(config.spec?.traffic ?? {}, {});
  });
});
