import assert from 'node:assert/strict';
import { pod, routeGroup, service, snapshotOf, target } from '../../test/support/snapshot.ts';
import { toMeshFacts } from '../explain/mesh-facts.ts';
import { diffAccess, findRespelled } from './access-diff.ts';
import { accessTable } from './access-table.ts';

function tableOf(pathRegex: string) {
  const rules = [{ kind: 'HTTPRouteGroup', name: 'routes' }];
  const snapshot = snapshotOf({
    services: [service('shop', 'cart', { clusterIPs: ['10.96.0.1'] })],
    pods: [pod('shop', 'cart'), pod('shop', 'web', { ip: '10.0.0.2' })],
    smi: [
      routeGroup('shop', 'routes', [{ name: 'x', pathRegex, methods: ['GET'] }]),
      target('shop', 'to-cart', { to: 'cart', from: ['web'], rules }),
    ],
  });
  return accessTable(toMeshFacts(snapshot));
}

describe('access that is written in other words', () => {
  it('is neither gained nor lost, and is told', () => {
    const [before, after] = [tableOf('/items/[0-9]+'), tableOf('/items/\\d+')];
    assert.deepEqual(diffAccess(before, after), []);
    const [only, ...rest] = findRespelled(before, after);
    assert.deepEqual(rest, []);
    assert.match(only?.before ?? '', /\[0-9\]/);
    assert.match(only?.after ?? '', /\\d/);
    assert.deepEqual(only?.services, ['shop/cart:80']);
  });

  it('is lost and gained where the patterns are not the same', () => {
    const [before, after] = [tableOf('/items/[0-9]+'), tableOf('/items/[0-8]+')];
    assert.deepEqual(
      diffAccess(before, after)
        .map(({ kind }) => kind)
        .sort(),
      ['gained', 'lost'],
    );
    assert.deepEqual(findRespelled(before, after), []);
  });
});
