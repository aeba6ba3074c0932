import assert from 'node:assert/strict';
import { join } from 'node:path';
import { scenarioConfig } from '../../test/support/scenario.ts';
import { namespace, pod, routeGroup, service, snapshotOf, split, target } from '../../test/support/snapshot.ts';
import { readMesh } from '../provider/files/read-mesh.ts';
import { findDestination, findSource } from './call-parties.ts';
import { explainCall } from './explain-call.ts';
import type { Explanation } from './explanation.ts';
import { type MeshFacts, toMeshFacts } from './mesh-facts.ts';
import { renderExplanation } from './render-explanation.ts';
import { toCallRequest } from './request.ts';

function ask(facts: MeshFacts, from: string, to: string, method?: string, path = '/', headers = {}): Explanation {
  const source = findSource(facts, from);
  assert.ok('value' in source, JSON.stringify(source));
  const destination = findDestination(facts, to, source.value.namespace);
  assert.ok('value' in destination, JSON.stringify(destination));
  const sent = { method: method ?? '', target: path, headers: Object.entries<string>(headers) };
  return explainCall(facts, {
    source: source.value,
    destination: destination.value,
    ...(method !== undefined && { request: toCallRequest(sent, to) }),
  });
}

const same = (text: string): string => text;
const text = (explanation: Explanation): string =>
  renderExplanation(explanation, {
    good: same,
    bad: same,
    dim: same,
    strong: same,
    place: ({ file, line }) => `${file.split('/').at(-1)}:${line}`,
  }).join('\n');

describe('explainCall on the bookstore', () => {
  let facts: MeshFacts;
  before(async () => {
    const inputs = [join(import.meta.dirname, '../../demo/bookstore/mesh')];
    const { snapshot, locate } = await readMesh({ inputs, config: scenarioConfig });
    facts = toMeshFacts(snapshot, locate);
  });

  const nearest: readonly (readonly [string, string, string, object, RegExp])[] = [
    [
      'bookthief',
      'GET',
      '/buy-a-book/new',
      {},
      /^source bookthief\/bookthief: only bookbuyer\/bookbuyer is a source of TrafficTarget bookstore\/bookbuyer-to-bookstore-v1$/,
    ],
    [
      'bookbuyer',
      'POST',
      '/buy-a-book/new',
      {},
      /^would be allowed if the method were GET \(match "buy-a-book" of bookstore\/bookstore-service-routes/,
    ],
    ['bookbuyer', 'GET', '/buy', {}, /^path \/buy: the pattern \/buy-a-book\/\.\* must match the whole path/],
    [
      'bookbuyer',
      'GET',
      '/books-bought/',
      { 'user-agent': 'a-http-client/1', 'client-app': 'bookbuyer' },
      /matches its start only: \/books-bought\.\* would/,
    ],
    [
      'bookbuyer',
      'GET',
      '/Books-bought',
      { 'user-agent': 'a-http-client/1', 'client-app': 'bookbuyer' },
      /upper and lower case count/,
    ],
    [
      'bookbuyer',
      'GET',
      '/books-bought',
      { 'user-agent': 'a-http-client/1' },
      /^header client-app is missing: it must match bookbuyer/,
    ],
    [
      'bookbuyer',
      'GET',
      '/books-bought',
      { 'user-agent': 'curl', 'client-app': 'bookbuyer' },
      /^header user-agent is "curl": a line of it must match/,
    ],
  ];
  for (const [from, method, path, headers, wanted] of nearest) {
    it(`says what is missing to ${from} ${method} ${path} ${JSON.stringify(headers)}`, () => {
      const said = ask(facts, from, 'bookstore.bookstore', method, path, headers);
      assert.equal(said.answer, 'deny');
      assert.match(said.nearest?.message ?? '', wanted);
      assert.match(said.nearest?.at?.file ?? '', /access\.yaml$/);
    });
  }

  it('names the target behind an answer, its line, and the shares of the split', () => {
    const said = ask(facts, 'bookbuyer', 'bookstore.bookstore.svc.cluster.local:14001', 'GET', '/buy-a-book/new');
    assert.equal(said.answer, 'allow');
    assert.deepEqual(
      said.because.map(({ message }) => message),
      ['TrafficTarget bookstore/bookbuyer-to-bookstore-v1', 'TrafficTarget bookstore/bookbuyer-to-bookstore-v2'],
    );
    assert.deepEqual(
      said.split?.shares.map(({ backend, share }) => [backend, share]),
      [
        ['bookstore-v1', 0.9],
        ['bookstore-v2', 0.1],
      ],
    );
    assert.match(text(said), /ALLOWED\n {2}TrafficTarget bookstore\/bookbuyer-to-bookstore-v1 access\.yaml:\d+/);
  });

  it('says which requests pass when none is given, and where each match stands', () => {
    const said = ask(facts, 'bookbuyer', 'bookstore.bookstore');
    assert.equal(said.answer, 'depends');
    assert.deepEqual(said.because.at(-1), { message: 'GET /buy-a-book/.*' });
    const given = ask(facts, 'bookbuyer', 'bookstore.bookstore', 'GET', '/buy-a-book/new');
    const places = ({ backends }: Explanation): unknown[] =>
      backends.flatMap(({ targets }) => targets.flatMap(({ matches = [] }) => matches.map(({ at }) => at)));
    assert.deepEqual(places(said), places(given));
    assert.equal(new Set(places(said).map((at) => JSON.stringify(at))).size, 2);
  });

  it('answers for TCP without a request', () => {
    assert.equal(ask(facts, 'bookwarehouse/bookwarehouse', 'bookdb').answer, 'allow');
    const said = ask(facts, 'bookbuyer', 'bookdb.bookwarehouse:3306');
    assert.equal(said.answer, 'deny');
    assert.match(
      said.nearest?.message ?? '',
      /^source bookbuyer\/bookbuyer: only bookwarehouse\/bookwarehouse is a source/,
    );
  });

  it('tells a request that is refused before policy, and a caller without a sidecar', () => {
    assert.equal(ask(facts, 'bookbuyer', 'bookstore.bookstore', 'GET', '/a%2fb').answer, 'malformed');
    const said = ask(facts, '-', 'bookstore.bookstore', 'GET', '/buy-a-book/new');
    assert.deepEqual([said.answer, said.reasons], ['deny', ['PlaintextRefused']]);
  });

  it('knows callers and Services by any of their names, and says which there are', () => {
    for (const name of ['bookbuyer', 'bookbuyer/bookbuyer', 'spiffe://cluster.local/ns/bookbuyer/sa/bookbuyer']) {
      const found = findSource(facts, name);
      assert.ok('value' in found && found.value.account === 'bookbuyer/bookbuyer', name);
    }
    for (const name of [
      'bookstore.bookstore.',
      'bookstore/bookstore',
      'bookstore.bookstore.svc:14001',
      'BOOKSTORE.bookstore',
    ]) {
      const found = findDestination(facts, name, 'bookbuyer');
      assert.ok('value' in found && found.value.entry.key === 'bookstore/bookstore:14001', name);
    }
    assert.match(
      JSON.stringify(findSource(facts, 'nobody')),
      /no workload is named \\"nobody\\".*bookbuyer\/bookbuyer/,
    );
    assert.match(
      JSON.stringify(findDestination(facts, 'cart', 'x')),
      /no Service \\"cart\\" in the mesh; it has bookstore/,
    );
    assert.match(JSON.stringify(findDestination(facts, 'bookstore.bookstore:1', 'x')), /has no port 1; it has 14001/);
  });

  it("knows a Service by its workload's port as well, which is what a refusal names", () => {
    const cart = service('shop', 'cart', { ports: [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' }] });
    const facts = toMeshFacts(snapshotOf({ namespaces: [namespace('shop')], services: [cart] }));

    const found = findDestination(facts, 'shop/cart:8080', 'shop');

    assert.ok('value' in found && found.value.entry.key === 'shop/cart:80', JSON.stringify(found));
  });
});

describe('explainCall', () => {
  it('tells why a backend is out, and what of a split is refused', () => {
    const facts = toMeshFacts(
      snapshotOf({
        pods: [pod('n', 'a'), pod('n', 'b'), pod('n', 'v1'), pod('n', 'v2')],
        services: [service('n', 'root'), service('n', 'v1'), service('n', 'v2')],
        smi: [
          split('n', 'canary', 'root', { v1: 3, v2: 1, v3: 4, v0: 0 }),
          routeGroup('n', 'all', [{ name: 'any' }]),
          target('n', 't1', { to: 'v1', from: ['n/a'], rules: [{ kind: 'HTTPRouteGroup', name: 'all' }] }),
        ],
      }),
    );
    const said = ask(facts, 'n/a', 'root', 'GET', '/');
    assert.equal(said.answer, 'partly');
    assert.deepEqual([said.served, said.denied], [0.75, 0.25]);
    assert.deepEqual(
      said.split?.shares.map(({ backend, out }) => [backend, out]),
      [
        ['v1', undefined],
        ['v2', undefined],
        ['v3', 'there is no such Service'],
        ['v0', 'there is no such Service'],
      ],
    );
    assert.match(text(said), /PARTLY {2}75 % allowed, 25 % denied \(NoTarget\)/);
  });

  it('shows a backend that could not be read, and why it is out', () => {
    const canary = split('n', 'canary', 'root', { v1: 3, v2: 1 });
    const backends = [
      { service: 'v1', weight: 3 },
      { service: 'v2', weight: -1 },
    ];
    const facts = toMeshFacts(
      snapshotOf({
        pods: [pod('n', 'a'), pod('n', 'v1')],
        services: [service('n', 'root'), service('n', 'v1')],
        smi: [{ ...canary, spec: { service: 'root', backends } }],
      }),
    );
    const said = ask(facts, 'n/a', 'root', 'GET', '/');
    assert.deepEqual(
      said.split?.shares.map(({ backend, share, out }) => [backend, share, out]),
      [
        ['v1', 1, undefined],
        ['v2', 0, 'the weight is no whole number of 0 or more, so the backend takes no traffic'],
      ],
    );
    assert.match(text(said), /v2 {2}takes none: the weight is no whole number/);
  });

  for (const [pattern, path, instead] of [
    ['/api/*', '/api/x', '/api/.*'],
    ['/a|/b', '/a/x', '(/a|/b).*'],
    ['/api', '/api/x', '/api.*'],
  ] as const) {
    it(`says that ${instead} would match ${path}, where ${pattern} does not`, () => {
      const facts = toMeshFacts(
        snapshotOf({
          pods: [pod('n', 'a'), pod('n', 'b')],
          services: [service('n', 'b')],
          smi: [
            target('n', 't', { to: 'b', from: ['n/a'], rules: [{ kind: 'HTTPRouteGroup', name: 'all' }] }),
            routeGroup('n', 'all', [{ name: 'some', pathRegex: pattern }]),
          ],
        }),
      );
      const { nearest } = ask(facts, 'n/a', 'b', 'GET', path);
      assert.ok(nearest?.message.includes(`matches its start only: ${instead} would`), nearest?.message);
    });
  }

  describe('where no backend of a split takes traffic', () => {
    const facts = toMeshFacts(
      snapshotOf({
        pods: [pod('n', 'a'), pod('n', 'x'), pod('n', 'root')],
        services: [service('n', 'root')],
        smi: [
          split('n', 'canary', 'root', { v1: 3 }),
          target('n', 't', { to: 'root', from: ['n/a'], rules: [{ kind: 'HTTPRouteGroup', name: 'all' }] }),
          routeGroup('n', 'all', [{ name: 'any' }]),
        ],
      }),
    );

    it('blames the split, and not the pods of the root', () => {
      const said = text(ask(facts, 'n/a', 'root', 'GET', '/'));
      assert.match(said, /UNAVAILABLE {2}503\n {2}no backend of the split takes traffic/);
      assert.doesNotMatch(said, /no ready pod/);
    });

    it('tells a source that nobody lets in of both', () => {
      const said = text(ask(facts, 'n/x', 'root', 'GET', '/'));
      assert.match(said, /DENIED {2}SourceNotAllowed\n {2}nothing behind Service n\/root lets this source in/);
      assert.match(said, /no backend of the split takes traffic/);
    });
  });

  it('names a target that is meant for it and grants nothing, and why', () => {
    const facts = toMeshFacts(
      snapshotOf({
        pods: [pod('n', 'a'), pod('n', 'b')],
        services: [service('n', 'b')],
        smi: [target('n', 't', { to: 'b', from: ['n/a'], rules: [{ kind: 'HTTPRouteGroup', name: 'gone' }] })],
      }),
    );
    const said = ask(facts, 'n/a', 'b', 'GET', '/');
    assert.match(
      said.nearest?.message ?? '',
      /^TrafficTarget n\/t is meant for it and grants nothing: no HTTPRouteGroup "gone"/,
    );
  });

  it('says what would be refused where everything passes, and what a rehearsal would grant', () => {
    const facts = toMeshFacts(
      snapshotOf({
        namespaces: [namespace('n', { mode: 'permissive' })],
        pods: [pod('n', 'a'), pod('n', 'b')],
        services: [service('n', 'b')],
        smi: [
          routeGroup('n', 'all', [{ name: 'any' }]),
          target('n', 't', {
            to: 'b',
            from: ['n/a'],
            rules: [{ kind: 'HTTPRouteGroup', name: 'all' }],
            annotations: { 'tulle.dev/mode': 'shadow' },
          }),
        ],
      }),
    );
    const said = ask(facts, 'n/a', 'b', 'GET', '/');
    assert.equal(said.answer, 'allow');
    assert.match(
      text(said),
      /mode permissive \(namespace n\) lets everything pass; enforced, it would be refused \(NoTarget\)/,
    );
    assert.match(said.nearest?.message ?? '', /rehearsal/);
  });

  it('holds requests against the rules of a workload that reads HTTP, also where the port that is asked for is bytes', () => {
    const opaque = { ports: [{ name: 'tcp-x', port: 81, targetPort: 8080, protocol: 'TCP' as const }] };
    const facts = toMeshFacts(
      snapshotOf({
        pods: [pod('n', 'a'), pod('n', 'b')],
        services: [service('n', 'b'), service('n', 'raw', { ...opaque, selector: { app: 'b' } })],
        smi: [
          routeGroup('n', 'some', [{ name: 'books', pathRegex: '/books' }]),
          target('n', 't', { to: 'b', from: ['n/a'], rules: [{ kind: 'HTTPRouteGroup', name: 'some' }] }),
        ],
      }),
    );
    assert.deepEqual(
      ['/books', '/other', '/books%2f'].map((path) => ask(facts, 'n/a', 'raw', 'GET', path).answer),
      ['allow', 'deny', 'malformed'],
    );
    const said = ask(facts, 'n/a', 'raw');
    assert.equal(said.answer, 'depends');
    assert.match(text(said), /port 81 speaks tcp, and port 8080 of the workload is taken as HTTP/);
  });

  it('never calls UDP open or closed', () => {
    const dns = (protocol: 'UDP' | 'TCP', port: number): object => ({
      name: `p${port}`,
      port,
      targetPort: port,
      protocol,
    });
    const both = service('n', 'dns', { ports: [dns('UDP', 53), dns('TCP', 54)] as never });
    const only = service('n', 'ntp', { ports: [dns('UDP', 123)] as never });
    const facts = toMeshFacts(snapshotOf({ pods: [pod('n', 'dns')], services: [both, only] }));
    for (const name of ['dns:53', 'ntp', 'n/ntp', 'ntp.n:123']) {
      assert.match(JSON.stringify(findDestination(facts, name, 'n')), /not TCP: .* neither opens nor closes it/, name);
    }
    assert.match(JSON.stringify(findDestination(facts, 'dns:99', 'n')), /has no port 99/);
  });
});
