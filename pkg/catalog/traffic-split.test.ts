import assert from 'node:assert/strict';
import { namespace, pod, port, service, snapshotOf, split } from '../../test/support/snapshot.ts';
import { buildMesh } from './build-mesh.ts';
import type { Service } from './snapshot.ts';

const root = service('shop', 'store', { ports: [port(80, 8080), port(81, 8081)] });
const whole = service('shop', 'v1', { ports: [port(80, 8080), port(81, 8081)] });
const half = service('shop', 'half');

/** What is said of a split, `reason: message`. */
function said(backends: Readonly<Record<string, number>>, services: readonly Service[] = [root, whole, half]) {
  const { problems } = buildMesh(
    snapshotOf({
      namespaces: [namespace('shop')],
      services,
      pods: [pod('shop', 'v1', { labels: { app: 'v1' } })],
      smi: [split('shop', 'store', 'store', backends)],
    }),
  );
  return problems
    .filter(({ resource }) => resource.kind === 'TrafficSplit')
    .map(({ severity, reason, message }) => `${severity} ${reason}: ${message}`);
}

const nobodyTakesIt = 'and no other backend takes traffic, so every request that is split is answered with 503';

describe('what is said of a backend that can not take its share', () => {
  it('is that the others take it, where another one has weight', () => {
    assert.deepEqual(said({ gone: 1, v1: 1 }), [
      'error BackendNotFound: no Service "gone" in namespace "shop", so the other backends take its share',
    ]);
  });

  it('is that calls fail, where it stands alone or the others have no weight', () => {
    const message = `error BackendNotFound: no Service "gone" in namespace "shop", ${nobodyTakesIt}`;
    assert.deepEqual(said({ gone: 1 }), [message]);
    assert.deepEqual(said({ gone: 1, v1: 0 }), [message]);
    const both = said({ gone: 1, lost: 1 });
    assert.deepEqual(
      both.map((text) => text.endsWith(nobodyTakesIt)),
      [true, true],
    );
  });

  it('is told of the port where it is so', () => {
    assert.deepEqual(said({ half: 1, v1: 0 }), [
      `error BackendPortMissing: Service "half" lacks port 81 of the root, ${nobodyTakesIt}`,
    ]);
    assert.deepEqual(said({ half: 1, v1: 1 }), [
      'error BackendPortMissing: Service "half" lacks port 81 of the root, so the other backends take its share',
    ]);
    assert.deepEqual(said({ gone: 1, half: 1 }), [
      'error BackendNotFound: no Service "gone" in namespace "shop", so the other backends take its share, but on port 81 there is none: every request that is split is answered with 503 there',
      `error BackendPortMissing: Service "half" lacks port 81 of the root, ${nobodyTakesIt}`,
    ]);
  });

  it('is nothing but that all weights are 0, where they are', () => {
    assert.deepEqual(said({ gone: 0, v1: 0 }), [
      'warning WeightsAllZero: all weights are 0, so every request that is split is answered with 503',
      'info BackendNotFound: no Service "gone" in namespace "shop", which takes no traffic at weight 0',
    ]);
  });
});
