import assert from 'node:assert/strict';
import type { RawObject } from '../../catalog/snapshot.ts';
import { decodeSmiObject } from '../../smi/decode.ts';
import { withWrittenVersion } from './written-version.ts';

const metadata = { name: 'x', namespace: 'shop' };

/** As an API server shows it when it is asked for the newest version. */
function shown(kind: string, group: string, body: object): RawObject {
  return { apiVersion: `${group}/v1alpha4`, kind, metadata, ...body };
}

const account = (name: string): object => ({ kind: 'ServiceAccount', name });
const rule = { kind: 'HTTPRouteGroup', name: 'r', matches: ['m'] };

const cases: readonly {
  readonly what: string;
  readonly object: RawObject;
  readonly version: string;
}[] = [
  {
    what: 'a TrafficTarget with its fields at the top level',
    object: shown('TrafficTarget', 'access.smi-spec.io', {
      destination: { ...account('pay'), port: 8080 },
      specs: [rule],
      sources: [account('web')],
    }),
    version: 'v1alpha1',
  },
  {
    what: 'the same, with the empty spec that a defaulting client adds',
    object: shown('TrafficTarget', 'access.smi-spec.io', {
      destination: account('pay'),
      specs: [rule],
      sources: [account('web')],
      spec: {},
    }),
    version: 'v1alpha1',
  },
  {
    what: 'a TrafficTarget whose destination has a port',
    object: shown('TrafficTarget', 'access.smi-spec.io', {
      spec: { destination: { ...account('pay'), port: 8080 }, rules: [rule], sources: [account('web')] },
    }),
    version: 'v1alpha2',
  },
  {
    what: 'a TrafficTarget that means the same in all later versions',
    object: shown('TrafficTarget', 'access.smi-spec.io', {
      spec: { destination: account('pay'), rules: [rule], sources: [account('web')] },
    }),
    version: 'v1alpha4',
  },
  {
    what: 'an HTTPRouteGroup with its matches at the top level',
    object: shown('HTTPRouteGroup', 'specs.smi-spec.io', { matches: [{ name: 'm', pathRegex: '/x' }] }),
    version: 'v1alpha2',
  },
  {
    what: 'a TrafficSplit with quantities',
    object: shown('TrafficSplit', 'split.smi-spec.io', {
      spec: {
        service: 'cart',
        backends: [
          { service: 'a', weight: 1 },
          { service: 'b', weight: '500m' },
        ],
      },
    }),
    version: 'v1alpha1',
  },
  {
    what: 'a TCPRoute of the first version, which has nothing but a name',
    object: shown('TCPRoute', 'specs.smi-spec.io', {}),
    version: 'v1alpha4',
  },
];

describe('withWrittenVersion', () => {
  for (const { what, object, version } of cases) {
    it(`takes ${what} for ${version}, and finds nothing wrong with it`, () => {
      const written = withWrittenVersion(object);
      assert.equal(written.apiVersion.split('/')[1], version);
      assert.deepEqual(decodeSmiObject(written).problems, []);
    });
  }

  it('leaves what can not be told, and what is malformed, as it is', () => {
    for (const body of [{ spec: 1 }, { spec: { backends: 'none' } }, { spec: null }]) {
      const object = shown('TrafficSplit', 'split.smi-spec.io', body);
      assert.equal(withWrittenVersion(object), object);
    }
  });
});
