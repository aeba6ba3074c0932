import assert from 'node:assert/strict';
import { parseAllDocuments } from 'yaml';
import { pod, routeGroup, service, snapshotOf, split, target, tcpRoute } from '../../test/support/snapshot.ts';
import type { RawObject } from '../catalog/snapshot.ts';
import { toMeshFacts } from '../explain/mesh-facts.ts';
import { decodeSmiObject } from '../smi/decode.ts';
import { generalisePaths } from './generalise-paths.ts';
import { houseStyleOf } from './house-style.ts';
import type { RecordedCall } from './replay.ts';
import { samplePattern } from './sample-pattern.ts';
import { isRefused, prove, suggestPolicy } from './suggest-policy.ts';
import { whatIf } from './what-if.ts';
import { writeYaml } from './write-yaml.ts';

const base: RecordedCall = {
  source: 'n/a',
  service: 'n/root:80',
  protocol: 'http',
  destination: '',
  method: 'GET',
  path: '/books/1',
  authority: 'root',
  headers: {},
  verdict: 'denied',
  reason: 'SourceNotAllowed',
  rule: '',
  mode: 'enforce',
};
const rule = [{ kind: 'HTTPRouteGroup', name: 'g' }];
const groups = [
  routeGroup('n', 'g', [
    { name: 'read', pathRegex: '/books/.*', methods: ['GET'] },
    { name: 'gold', pathRegex: '/gold', headers: [{ 'x-tier': 'gold|silver' }] },
  ]),
];
const meshOf = (...smi: readonly RawObject[]): ReturnType<typeof toMeshFacts> =>
  toMeshFacts(
    snapshotOf({
      pods: [pod('n', 'a'), pod('n', 'b'), pod('n', 'v1'), pod('n', 'v2'), pod('n', 'db')],
      services: [
        service('n', 'root', { selector: { app: 'v1' } }),
        service('n', 'v1'),
        service('n', 'v2'),
        service('n', 'db', { ports: [{ name: 'tcp-db', port: 3306, targetPort: 8080, protocol: 'TCP' }] }),
      ],
      smi: [...groups, split('n', 's', 'root', { v1: 1, v2: 1 }), ...smi],
    }),
  );
const style = houseStyleOf([], new Map());

describe('suggestPolicy', () => {
  it('lets pass what was refused at every backend, and nothing else that was seen', () => {
    const facts = meshOf(target('n', 'b', { to: 'v1', from: ['n/b'], rules: rule }));
    const wanted = [base, { ...base, path: '/books/2?page=3' }, { ...base, path: '/books/1', method: 'POST' }];
    const seen = [...wanted, { ...base, source: 'n/b', path: '/other' }, { ...base, path: '/books/9' }];
    const objects = suggestPolicy(facts, wanted, 'exact', style);
    assert.deepEqual(
      objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
      ['HTTPRouteGroup n/root-routes', 'TrafficTarget n/a-to-v1', 'TrafficTarget n/a-to-v2'],
    );
    for (const object of objects) assert.deepEqual(decodeSmiObject(object).problems, []);
    const written = parseAllDocuments(writeYaml(objects, true)).map((document) => document.toJS() as RawObject);
    const proof = prove(facts, written, wanted, seen);
    assert.deepEqual([proof.wanted, proof.allowed, proof.othersCount, proof.alike], [3, 3, 0, 0]);
    const wider = prove(facts, suggestPolicy(facts, wanted, 'prefix', style), wanted, seen);
    assert.deepEqual([wider.allowed, wider.others.map(({ path }) => path)], [3, ['/books/9']]);
  });

  it('takes a match that is there and says the same', () => {
    const objects = suggestPolicy(meshOf(), [base], 'prefix', style);
    assert.deepEqual(
      objects.map(({ kind }) => kind),
      ['TrafficTarget', 'TrafficTarget'],
    );
    const spec = objects[0]?.['spec'] as { rules: unknown };
    assert.deepEqual(spec.rules, [{ kind: 'HTTPRouteGroup', name: 'g', matches: ['read'] }]);
  });

  it('opens a port for TCP, and joins callers that want the same', () => {
    const call = { ...base, service: 'n/db:3306', protocol: 'tcp' as const, method: '', path: '' };
    const facts = meshOf();
    const wanted = [call, { ...call, source: 'n/b' }];
    const objects = suggestPolicy(facts, wanted, 'exact', style);
    assert.deepEqual(
      objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      ['TCPRoute db-tcp', 'TrafficTarget clients-to-db'],
    );
    assert.equal(prove(facts, objects, wanted, wanted).allowed, 2);
  });

  it('writes in the style of what is there', () => {
    const files = new Map([['a.yaml', 'metadata: { name: a }\n---\nmetadata: { name: b }\n']]);
    const old = {
      ...target('n', 'x-access-y', { to: 'v1', from: ['n/b'], rules: rule }),
      apiVersion: 'access.smi-spec.io/v1alpha1',
    };
    const there = houseStyleOf(
      [old, { ...groups[0], metadata: { namespace: 'n', name: 'y-service-routes' } } as RawObject],
      files,
    );
    assert.deepEqual([there.joint, there.suffix, there.flow], ['-access-', '-service-routes', true]);
    const text = writeYaml(suggestPolicy(meshOf(), [base], 'exact', there), there.flow);
    assert.match(text, /^metadata: \{ name: a-access-v1, namespace: n \}$/m);
    assert.match(text, /apiVersion: access\.smi-spec\.io\/v1alpha1\nkind: TrafficTarget/);
    assert.match(text, /methods: \[GET\]/);
    const block = writeYaml(suggestPolicy(meshOf(), [base], 'exact', style), false);
    assert.match(block, /metadata:\n {2}name: root-routes/);
  });

  it('knows what policy refused from what failed otherwise', () => {
    assert.ok(isRefused(base));
    assert.ok(isRefused({ ...base, verdict: 'allowed', reason: '', mode: 'permissive' }));
    assert.ok(!isRefused({ ...base, verdict: 'allowed', reason: '', rule: 'n/x', mode: 'permissive' }));
    assert.ok(!isRefused({ ...base, reason: 'EgressDenied' }));
    assert.ok(!isRefused({ ...base, source: '' }));
  });
});

describe('whatIf', () => {
  const passed = { ...base, verdict: 'allowed' as const, reason: '', rule: 'n/t' };
  const now = meshOf(
    target('n', 't', { to: 'v1', from: ['n/a'], rules: rule }),
    target('n', 'u', { to: 'v2', from: ['n/a'], rules: rule }),
  );

  it('tells who would be refused and who would pass, and how much of it', () => {
    const next = meshOf(target('n', 't', { to: 'v1', from: ['n/b'], rules: rule }));
    const result = whatIf([passed, passed, { ...base, source: 'n/b' }], now, next);
    assert.deepEqual(
      result.denied.map(({ source, calls, share }) => [source, calls, share]),
      [['n/a', 2, 1]],
    );
    assert.match(result.denied[0]?.why ?? '', /only n\/b is a source of TrafficTarget n\/t/);
    assert.deepEqual(
      result.allowed.map(({ source, calls, share }) => [source, calls, share]),
      [['n/b', 1, 0.5]],
    );
  });

  it('takes headers that were not recorded to have been what the rule asked for', () => {
    const gold = { ...passed, path: '/gold' };
    assert.deepEqual(whatIf([gold], now, now).unchanged, 1);
    const stricter = toMeshFacts({
      ...now.snapshot,
      smi: now.snapshot.smi.map((raw) =>
        raw.kind === 'HTTPRouteGroup'
          ? routeGroup('n', 'g', [{ name: 'gold', pathRegex: '/gold', headers: [{ 'x-tier': 'platinum' }] }])
          : raw,
      ),
    });
    assert.equal(whatIf([gold], now, stricter).denied.length, 1);
  });

  it('says what it can not judge', () => {
    const { unknown } = whatIf([{ ...passed, service: 'n/gone:80' }], now, now);
    assert.match([...unknown.keys()][0] ?? '', /no Service/);
    assert.ok(tcpRoute('n', 't').kind === 'TCPRoute');
  });
});

describe('generalisePaths', () => {
  const patterns = (paths: readonly string[], style: Parameters<typeof generalisePaths>[1]): readonly string[] =>
    generalisePaths(paths, style).map(({ pattern }) => pattern);

  it('is as wide as told', () => {
    const paths = ['/books/1', '/books/2', '/books/new', '/a.b', '/books/1'];
    assert.deepEqual(patterns(paths, 'exact'), ['/a\\.b', '/books/1', '/books/2', '/books/new']);
    assert.deepEqual(patterns(paths, 'segment'), ['/a\\.b', '/books/[^/]+', '/books/new']);
    assert.deepEqual(patterns(paths, 'prefix'), ['/a\\.b', '/books/.*']);
  });

  it('takes many values in one place for values', () => {
    assert.deepEqual(patterns(['/u/ann/x', '/u/bob/x', '/u/cid/x', '/u/dan/x'], 'segment'), ['/u/[^/]+/x']);
    assert.deepEqual(patterns(['/u/ann', '/u/bob'], 'segment'), ['/u/ann', '/u/bob']);
  });

  it('never opens the root for a path that stands alone', () => {
    assert.deepEqual(patterns(['/', '/health'], 'prefix'), ['/', '/health']);
  });
});

describe('samplePattern', () => {
  it('finds what a pattern matches, or says that it can not', () => {
    const known = [
      'gold|silver',
      '.*-http-client/.*',
      'v[0-9]+',
      '(?i)a{2,3}',
      '\\d{4}-x',
      '(?:a|b)(c)?',
      '[^/]+',
      '^x$',
      'a\\.b',
    ];
    for (const pattern of known) assert.notEqual(samplePattern(pattern), undefined, pattern);
    assert.equal(samplePattern('('), undefined);
    assert.equal(samplePattern('a\\pL'), undefined);
  });
});
