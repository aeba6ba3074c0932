import assert from 'node:assert/strict';
import { namespace, pod, routeGroup, snapshotOf, target } from '../../test/support/snapshot.ts';
import { buildMesh, createMeshBuilder } from './build-mesh.ts';
import type { MeshSnapshot } from './snapshot.ts';

function meshWith(from: readonly string[], more: Partial<MeshSnapshot> = {}): MeshSnapshot {
  return snapshotOf({
    namespaces: [namespace('shop'), namespace('bank'), namespace('plain', { meshed: false })],
    pods: [pod('shop', 'store'), pod('shop', 'buyer'), pod('bank', 'teller'), pod('bank', 'clerk-v1')],
    smi: [
      routeGroup('shop', 'all', [{ name: 'x', pathRegex: '/.*' }]),
      target('shop', 'read', { to: 'store', from, rules: [{ kind: 'HTTPRouteGroup', name: 'all' }] }),
    ],
    ...more,
  });
}

function said(snapshot: MeshSnapshot): readonly string[] {
  return buildMesh(snapshot)
    .problems.filter(({ reason }) => reason === 'SourceUnknown')
    .map(({ severity, field, message, fix }) => `${severity} ${field}: ${message}. ${fix}`);
}

describe('a source of a TrafficTarget that nobody runs as', () => {
  it('is told with the name that is meant, where one is very much alike', () => {
    assert.deepEqual(said(meshWith(['buyer', 'bank/tellr'])), [
      'warning /spec/sources/1/name: nobody in namespace "bank" runs as "tellr", and somebody runs as "teller". write teller if that is meant',
    ]);
  });

  it('is told with the namespace that is meant, where one has the account; louder where nobody runs at all', () => {
    const expected = (severity: string, space: string): string =>
      `${severity} /spec/sources/0/namespace: nobody in namespace "${space}" runs as "teller"; in namespace "bank" somebody does. write namespace: bank if that is meant`;
    assert.deepEqual(said(meshWith(['teller'])), [expected('info', 'shop')]);
    assert.deepEqual(said(meshWith(['bnk/teller'])), [expected('warning', 'bnk')]);
  });

  it('is told as information, with the accounts that are there, where nothing is like it', () => {
    assert.deepEqual(said(meshWith(['bank/auditor'])), [
      'info /spec/sources/0/name: no pod in namespace "bank" runs as ServiceAccount "auditor", so nobody is let in by it yet. correct the name if one of clerk-v1, teller is meant',
    ]);
  });

  it('is no slip of the finger where it is another version, or where both are named', () => {
    for (const from of [['bank/clerk-v2'], ['bank/teller', 'bank/tellers']]) {
      assert.deepEqual(
        said(meshWith(from)).map((text) => text.split(' ')[0]),
        ['info'],
      );
    }
  });

  it('is not judged in a namespace that is not meshed, or of which nothing is known', () => {
    assert.deepEqual(said(meshWith(['plain/teller', 'plain/job', 'elsewhere/job', 'elsewhere/default'])), []);
    const more = [pod('shop', 'store'), pod('bank', 'x', { serviceAccount: 'default' })];
    assert.deepEqual(said(meshWith(['elsewhere/default'], { pods: more })), []);
  });

  it('is no longer told once somebody runs as it, and again when nobody does', () => {
    const builder = createMeshBuilder();
    const told = (snapshot: MeshSnapshot): number =>
      builder.build(snapshot).problems.filter(({ reason }) => reason === 'SourceUnknown').length;
    const without = meshWith(['bank/auditor']);
    const withIt = { ...without, pods: [...without.pods, pod('bank', 'auditor')] };
    assert.deepEqual([without, withIt, without].map(told), [1, 0, 1]);
  });
});
