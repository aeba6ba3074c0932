import assert from 'node:assert/strict';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { ClusterError } from '../../provider/kubernetes/cluster-error.ts';
import { ensureMeshConfig, type EnsuredMeshConfig } from './ensure-mesh-config.ts';

describe('the MeshConfig of a mesh without one', () => {
  const sent: string[] = [];
  beforeEach(() => sent.splice(0));

  function ensure(answers: Readonly<Record<string, ClusterError | object>>): Promise<EnsuredMeshConfig> {
    const cluster = {
      request: (method: string) => {
        sent.push(method);
        const answer = answers[method];
        return answer instanceof ClusterError ? Promise.reject(answer) : Promise.resolve(answer);
      },
    } as unknown as Cluster;
    const { signal } = new AbortController();
    return ensureMeshConfig(cluster, { namespace: 'tulle-system', name: 'osm-mesh-config' }, signal);
  }
  const missing = new ClusterError(404, 'NotFound', 'not found');

  it('is made empty, and never touched when it is there', async () => {
    assert.deepEqual(await ensure({ GET: missing, PATCH: {} }), { state: 'made' });
    assert.deepEqual(await ensure({ GET: {} }), { state: 'there' });
    assert.deepEqual(sent, ['GET', 'PATCH', 'GET']);
  });

  it('is not made where its kind is not installed', async () => {
    assert.deepEqual(await ensure({ GET: missing, PATCH: missing }), { state: 'unknown' });
  });

  it('is given up when the CRD that is installed refuses it, with what that says', async () => {
    const invalid = new ClusterError(422, 'Invalid', 'spec.sidecar: Required value');
    const refused = { state: 'refused', reason: 'spec.sidecar: Required value' };
    assert.deepEqual(await ensure({ GET: missing, PATCH: invalid }), refused);
  });

  it('is tried again after any other failure', async () => {
    const away = new ClusterError(503, 'ServiceUnavailable', 'etcd is away');
    await assert.rejects(ensure({ GET: away }), away);
    await assert.rejects(ensure({ GET: missing, PATCH: away }), away);
  });
});
