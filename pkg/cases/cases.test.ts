import assert from 'node:assert/strict';
import { toMeshFacts, type MeshFacts } from '../explain/mesh-facts.ts';
import { pod, routeGroup, service, snapshotOf, split, target } from '../../test/support/snapshot.ts';
import type { RawObject } from '../catalog/snapshot.ts';
import { diffAccess } from './access-diff.ts';
import { toMatrix } from './access-matrix.ts';
import { accessTable, routeText } from './access-table.ts';
import { toJunit } from './junit.ts';
import { decodeCases } from './policy-case.ts';
import { coverageOf, runCase } from './run-cases.ts';

const rule = { kind: 'HTTPRouteGroup', name: 'g' };
const matches = [
  { name: 'read', pathRegex: '/books', methods: ['GET', 'HEAD'] },
  { name: 'write', pathRegex: '/books', methods: ['POST'], headers: [{ 'x-tier': 'gold' }] },
];
const one = (to: string, from: readonly string[], rules: readonly object[] = [rule], name = `to-${to}`): RawObject =>
  target('n', name, { to, from, rules });

function meshOf(...smi: readonly RawObject[]): MeshFacts {
  return toMeshFacts(
    snapshotOf({
      pods: [pod('n', 'a'), pod('n', 'b'), pod('n', 'v1'), pod('n', 'v2')],
      services: [service('n', 'root', { selector: { app: 'v1' } }), service('n', 'v1'), service('n', 'v2')],
      smi: [routeGroup('n', 'g', matches), routeGroup('n', 'all', [{ name: 'any' }]), ...smi],
    }),
  );
}

const decode = (...cases: readonly object[]): ReturnType<typeof decodeCases> => decodeCases({ cases });

describe('cases', () => {
  it('are read from a list or an object, and a fault names its place', () => {
    assert.equal(decodeCases([{ from: 'n/a', to: 'v1', expect: 'deny' }]).cases.length, 1);
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ to: 'v1', expect: 'allow' }, /from is missing/],
      [{ from: 'n/a', to: 'v1', expect: 'yes' }, /"allow" or "deny"/],
      [{ from: 'n/a', to: 'v1', expect: 'allow', methd: 'GET' }, /no field "methd"/],
      [{ from: 'n/a', to: 'v1', expect: 'allow', reason: 'NoTarget' }, /goes with "expect: deny"/],
      [{ from: 'n/a', to: 'v1', expect: 'deny', reason: 'Because' }, /one of NoTarget/],
      [{ from: 'n/a', to: 'v1', expect: 'allow', share: { v1: '110%' } }, /from 0 to 1/],
      [{ from: 'n/a', to: 'v1', expect: 'allow', headers: { x: {} } }, /header x is no text/],
    ];
    for (const [raw, message] of wrong) {
      const [fault] = decode({ from: 'n/a', to: 'v1', expect: 'deny' }, raw).faults;
      assert.equal(fault?.at, '/cases/1');
      assert.match(fault.message, message);
    }
    assert.match(decodeCases({ case: [] }).faults[0]?.message ?? '', /no list of cases/);
  });

  const facts = meshOf(one('v1', ['n/a']), split('n', 'canary', 'root', { v1: 9, v2: 1 }));
  const run = (raw: object): readonly string[] => {
    const { cases, faults } = decode(raw);
    assert.deepEqual(faults, []);
    return cases.flatMap((each) => runCase(facts, each).faults);
  };

  it('hold, or say what is instead', () => {
    assert.deepEqual(run({ from: 'a', to: 'v1', path: '/books', expect: 'allow' }), []);
    assert.deepEqual(
      run({ from: 'a', to: 'v1', method: 'POST', path: '/books', headers: { 'X-Tier': 'gold' }, expect: 'allow' }),
      [],
    );
    assert.deepEqual(run({ from: 'b', to: 'v1', path: '/books', expect: 'deny', reason: 'SourceNotAllowed' }), []);
    assert.match(
      run({ from: 'a', to: 'v1', path: '/cart', expect: 'allow' })[0] ?? '',
      /expected allow, and it is deny: path \/cart/,
    );
    assert.match(
      run({ from: 'b', to: 'v1', expect: 'deny', reason: 'NoTarget' })[0] ?? '',
      /expected NoTarget, and it is SourceNotAllowed/,
    );
    assert.match(run({ from: 'a', to: 'root', path: '/books', expect: 'allow' })[0] ?? '', /90 % served, 10 % denied/);
    assert.deepEqual(run({ from: 'a', to: 'v1', path: '/books', expect: 'allow', share: { v1: '100%' } }), []);
    assert.match(
      run({ from: 'a', to: 'v1', path: '/books', expect: 'allow', share: { v1: 0.5 } })[0] ?? '',
      /expected 50 % at v1, and it is 100 %/,
    );
    assert.match(run({ from: 'a', to: 'v9', expect: 'deny' })[0] ?? '', /no Service "v9"/);
    assert.match(run({ from: 'whoever', to: 'v1', expect: 'deny' })[0] ?? '', /no workload is named/);
  });

  it('tell which rules none of them used', () => {
    const { cases } = decode({ from: 'a', to: 'v1', path: '/books', expect: 'allow' });
    const rules = coverageOf(
      facts,
      cases.map((each) => runCase(facts, each)),
    );
    assert.deepEqual(
      rules.map(({ name, covered }) => [name, covered]),
      [
        ['TrafficSplit n/canary', false],
        ['TrafficTarget n/to-v1, match read', true],
        ['TrafficTarget n/to-v1, match write', false],
      ],
    );
  });

  it('become JUnit XML in which nothing breaks out', () => {
    const { cases } = decode({ name: '<a> & "b"', from: 'b', to: 'v1', path: '/books', expect: 'allow' });
    const xml = toJunit(new Map([['cases.yaml', cases.map((each) => runCase(facts, each))]]));
    assert.match(xml, /tests="1" failures="1"/);
    assert.match(xml, /name="&lt;a&gt; &amp; &quot;b&quot;"/);
  });
});

describe('diffAccess', () => {
  const changes = (before: MeshFacts, after: MeshFacts): readonly string[] =>
    diffAccess(accessTable(before), accessTable(after)).map(({ kind, source, service: to, route, at, except }) =>
      [
        kind,
        source,
        to,
        routeText(route),
        ...(at ? ['at', ...at] : []),
        ...(except.length > 0 ? ['except', ...except] : []),
      ].join(' '),
    );
  const some = meshOf(one('v1', ['n/a']));

  it('sees no difference where there is none, however it is written', () => {
    assert.deepEqual(changes(some, some), []);
    const other = meshOf(
      one('v1', ['n/a'], [{ ...rule, matches: ['write'] }], 'w'),
      one('v1', ['n/a'], [{ ...rule, matches: ['read'] }], 'r'),
      one('v1', ['n/a'], [rule], 'again'),
    );
    assert.deepEqual(changes(some, other), []);
  });

  it('says exactly who gained and lost what', () => {
    assert.deepEqual(changes(some, meshOf(one('v1', ['n/b'], [{ ...rule, matches: ['read'] }]))), [
      'lost n/a n/root:80 GET /books',
      'lost n/a n/root:80 HEAD /books',
      'lost n/a n/root:80 POST /books x-tier: gold',
      'gained n/b n/root:80 GET /books',
      'gained n/b n/root:80 HEAD /books',
      'lost n/a n/v1:80 GET /books',
      'lost n/a n/v1:80 HEAD /books',
      'lost n/a n/v1:80 POST /books x-tier: gold',
      'gained n/b n/v1:80 GET /books',
      'gained n/b n/v1:80 HEAD /books',
    ]);
  });

  it('is the same read backwards', () => {
    const wide = meshOf(one('v1', ['n/a'], [{ kind: 'HTTPRouteGroup', name: 'all' }]), one('v2', ['n/a', 'n/b']));
    const swap: Readonly<Record<string, string>> = { gained: 'lost', lost: 'gained' };
    const turned = changes(wide, some).map((line) => line.replace(/^\w+/, (kind) => swap[kind] ?? kind));
    assert.deepEqual(changes(some, wide), turned);
    assert.ok(turned.includes('gained n/a n/v1:80 anything except GET /books HEAD /books POST /books x-tier: gold'));
  });

  it('says where a part of a split is refused now', () => {
    const canary = meshOf(one('v1', ['n/a']), split('n', 'canary', 'root', { v1: 9, v2: 1 }));
    assert.deepEqual(
      changes(some, canary).filter((line) => line.includes('GET')),
      ['lost n/a n/root:80 GET /books at v1'],
    );
  });

  it('shows everything as Markdown', () => {
    const text = toMatrix(
      accessTable(meshOf(one('v1', ['n/a', 'n/b']), one('v2', ['n/a'], [{ kind: 'HTTPRouteGroup', name: 'all' }]))),
    );
    assert.match(text, /^\| n\/v1:80 \| 3 routes \| 3 routes \|$/m);
    assert.match(text, /^\| n\/v2:80 \| all \| {2}\|$/m);
    assert.match(text, /^\| `GET \/books` \| n\/a, n\/b \|$/m);
  });
});
