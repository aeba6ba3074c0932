import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeSmiObject } from './decode.ts';
import { encodeSmiObject } from './encode.ts';
import { type SmiObject, smiKinds } from './kinds.ts';

const name = fc.stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/);
const labels = fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.string());
const port = fc.integer({ min: 1, max: 65535 });
const ports = fc.uniqueArray(port, { minLength: 1, maxLength: 4 });
const optional = <T>(key: string, value: fc.Arbitrary<T>): fc.Arbitrary<object> =>
  fc.option(value, { nil: undefined }).map((given) => (given === undefined ? {} : { [key]: given }));
const together = (...parts: fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...all) as object);

const subject = fc.record({ kind: fc.constantFrom('ServiceAccount', 'IdentityBinding'), name, namespace: name });
const rule = together(
  fc.record({ kind: fc.constantFrom('HTTPRouteGroup', 'TCPRoute', 'UDPRoute', 'OtherRoute'), name }),
  optional('matches', fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 3 })),
);
const pattern = fc.constantFrom('/a', '/a/.*', '^x$', '(?i)b+', '[0-9]{1,3}');
const match = together(
  fc.record({ name }),
  optional('pathRegex', pattern),
  optional('methods', fc.uniqueArray(fc.constantFrom('GET', 'POST', 'PURGE'), { minLength: 1 })),
  optional(
    'headers',
    fc.array(fc.record({ name: fc.constantFrom('x-a', 'host', 'cookie'), value: pattern }), { minLength: 1 }),
  ),
);
const numbered = (list: readonly object[]): object[] => list.map((item, index) => ({ ...item, index }));

/** The fields of a hub object of each kind, as far as the version can hold them. */
function fieldsOf(kind: SmiObject['kind'], version: string): fc.Arbitrary<object> {
  const old = version === 'v1alpha1' || version === 'v1alpha2';
  switch (kind) {
    case 'TrafficTarget':
      return fc.record({
        destination: old ? together(subject, optional('port', port)) : subject,
        rules: fc.array(rule, { maxLength: 3 }),
        sources: fc.array(subject, { maxLength: 3 }),
        shadow: fc.constant(false),
      });
    case 'IdentityBinding':
      return fc.oneof(
        fc.record({ serviceAccount: name, spiffeIdentities: name.map((id) => [`spiffe://corp.example/${id}`]) }),
        fc.record({ podLabelSelector: fc.dictionary(name, name, { minKeys: 1 }) }),
      );
    case 'HTTPRouteGroup':
      return fc.record({
        matches: fc.uniqueArray(match, { selector: (m) => (m as { name: string }).name }).map(numbered),
      });
    case 'TCPRoute':
      return version === 'v1alpha4' ? together(optional('ports', ports)) : fc.constant({});
    case 'UDPRoute':
      return together(optional('ports', ports));
    case 'TrafficSplit': {
      const backend = fc.record({ service: name, weight: fc.nat(1_000_000) });
      const matches = fc.array(fc.record({ kind: fc.constant('HTTPRouteGroup'), name }), { minLength: 1 });
      const some = fc.record({
        service: name,
        backends: fc.array(backend, { minLength: 1, maxLength: 4 }).map(numbered),
      });
      return old ? some : together(some, optional('matches', matches));
    }
  }
}

describe('encodeSmiObject', () => {
  for (const { group, kind, versions } of smiKinds) {
    for (const version of versions) {
      it(`writes ${kind} of ${group}/${version} so that it decodes to the same`, () => {
        const meta = fc.record({
          apiVersion: fc.constant(`${group}/${version}`),
          kind: fc.constant(kind),
          namespace: name,
          name,
          labels,
          annotations: labels,
        });
        const hub = together(
          meta,
          fieldsOf(kind, version),
          optional('creationTimestamp', fc.constant('2024-05-01T10:00:00Z')),
        );
        fc.assert(
          fc.property(hub as fc.Arbitrary<SmiObject>, (object) => {
            const written = encodeSmiObject(object);
            const { value, problems } = decodeSmiObject(JSON.parse(JSON.stringify(written)));
            assert.deepEqual(problems, []);
            assert.deepEqual(value, plain(object));
            assert.ok(value);
            assert.deepEqual(encodeSmiObject(value), written);
          }),
        );
      });
    }
  }

  it('writes nothing where a part that did not decode would come back as more', () => {
    const raw = (apiVersion: string, kind: string, spec: unknown): unknown => ({
      apiVersion: `${apiVersion}.smi-spec.io/v1alpha4`,
      kind,
      metadata: { name: 'x', namespace: 'y' },
      spec,
    });
    const destination = { kind: 'ServiceAccount', name: 'a' };
    for (const object of [
      raw('specs', 'TCPRoute', { matches: { ports: ['80'] } }),
      raw('specs', 'UDPRoute', { matches: [] }),
      raw('specs', 'HTTPRouteGroup', { matches: [5, { name: 'a' }] }),
      raw('split', 'TrafficSplit', { service: 'a', backends: [], matches: 'b' }),
      raw('split', 'TrafficSplit', { service: 'a', backends: [{}, { service: 'a', weight: 1 }] }),
      raw('access', 'TrafficTarget', { destination, rules: [{ kind: 'TCPRoute' }], sources: [] }),
      raw('access', 'TrafficTarget', {
        destination,
        rules: [{ kind: 'TCPRoute', name: 'a', matches: 1 }],
        sources: [],
      }),
      raw('access', 'TrafficTarget', { destination, rules: [], sources: [5] }),
    ]) {
      const { value } = decodeSmiObject(object);
      assert.ok(value);
      assert.equal(encodeSmiObject(value), undefined, JSON.stringify(object));
    }
  });
});

/** Without the prototypes that generators give. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}
