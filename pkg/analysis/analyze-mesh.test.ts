import assert from 'node:assert/strict';
import { analyzeText, documents, lineOf, shop, yaml } from './analysis.fixture.ts';
import type { ProblemReason } from '../problem/reasons.ts';

const { pod, service, group, target, split } = yaml;
const { pods } = shop;
const store = shop.service;
const read = group('{name: read, pathRegex: /books, methods: [GET]}');
const good = [...pods, store, read, target()];

/** A mistake, the code it is given, and what stands on the line that it points at. */
const mistakes: readonly (readonly [ProblemReason, string, RegExp])[] = [
  ['PathAnchoring', documents(pods, store, group('{name: read, pathRegex: /api/}'), target()), /pathRegex: \/api\//],
  [
    'PathAnchoring',
    documents(pods, store, group('{name: read, pathRegex: "^/api"}'), target()),
    /pathRegex: "\^\/api"/,
  ],
  ['PathGlob', documents(pods, store, group('{name: read, pathRegex: "/api/*"}'), target()), /api\/\*/],
  ['PathNeverMatches', documents(pods, store, group('{name: read, pathRegex: "api/.*"}'), target()), /api/],
  ['PathNeverMatches', documents(pods, store, group('{name: read, pathRegex: "/a\\\\?b=c"}'), target()), /b=c/],
  ['PathNeverMatches', documents(pods, store, group('{name: read, pathRegex: //a}'), target()), /\/\/a/],
  [
    'HeaderNeverMatches',
    documents(pods, store, group('{name: read, headers: [{x-envoy-retry-on: "5xx"}]}'), target()),
    /x-envoy/,
  ],
  ['HeaderTwice', documents(pods, store, group('{name: read, headers: [{x-a: "1"}, {X-A: "2"}]}'), target()), /x-a/],
  [
    'MatchRedundant',
    documents(
      pods,
      store,
      group('{name: all, pathRegex: ".*"}\n{name: read, pathRegex: /a, methods: [GET]}'),
      target(),
    ),
    /name: read/,
  ],
  [
    'NamesDifferByCase',
    documents(pods, store, group('{name: read, pathRegex: /a}\n{name: Read, pathRegex: /b}'), target()),
    /name: Read/,
  ],
  ['RouteUnused', documents(...good, group('{name: other, pathRegex: /x}', 'other')), /name: other/],
  [
    'MatchUnused',
    documents(
      pods,
      store,
      group('{name: read, pathRegex: /a}\n{name: buy, pathRegex: /b}'),
      target('[{kind: HTTPRouteGroup, name: routes, matches: [read]}]'),
    ),
    /name: buy/,
  ],
  [
    'PortUnused',
    documents(
      pods,
      store,
      'apiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {name: p, namespace: shop}\nspec: {matches: {ports: [9999]}}',
      target('[{kind: TCPRoute, name: p}]'),
    ),
    /rules:/,
  ],
  [
    'HttpRulesOnTcp',
    documents(pods, service('store', '[{name: tcp-x, port: 80, targetPort: 8080}]'), read, target()),
    /rules:/,
  ],
  ['OpensEverything', documents(pods, store, group('{name: all}'), target()), /rules:/],
  ['TargetRedundant', documents(...good, target(undefined, { name: 'buy-too' })), /name: buy-too/],
  [
    'SourceUnknown',
    documents(...good.slice(0, 4), target(undefined, { from: '{kind: ServiceAccount, name: buyr}' })),
    /buyr/,
  ],
  [
    'SourceUnknown',
    documents(
      ...good.slice(0, 4),
      target(undefined, { from: '{kind: ServiceAccount, name: buyer, namespace: shopp}' }),
    ),
    /shopp/,
  ],
  [
    'RehearsalLeft',
    documents(...good.slice(0, 4), target(undefined, { extra: ', annotations: {tulle.dev/mode: shadow}' })),
    /annotations/,
  ],
  [
    'SplitMatchesNothing',
    documents(
      ...good,
      service('v1', undefined, '{app: store}'),
      group('{name: bad, pathRegex: "("}', 'none'),
      split('[{service: v1, weight: 1}]', '  matches: [{kind: HTTPRouteGroup, name: none}]'),
    ),
    /matches/,
  ],
  ['SplitWithoutEffect', documents(...good, split('[{service: store, weight: 100}]')), /backends/],
  [
    'SplitChained',
    documents(
      ...good,
      service('v1', undefined, '{app: store}'),
      split('[{service: v1, weight: 1}]'),
      split('[{service: v1, weight: 1}]')
        .replace('name: canary', 'name: inner')
        .replace('service: store', 'service: v1'),
    ),
    /v1/,
  ],
  [
    'BackendWithoutPods',
    documents(...good, service('v1', undefined, '{app: nothing}'), split('[{service: v1, weight: 1}]')),
    /v1/,
  ],
  [
    'BackendsSamePods',
    documents(
      ...good,
      service('v1', undefined, '{app: store}'),
      service('v2', undefined, '{app: store}'),
      split('[{service: v1, weight: 1}, {service: v2, weight: 1}]'),
    ),
    /v2/,
  ],
  [
    'RootSelectsNothing',
    documents(
      pods,
      service('store', undefined, '{app: gone}'),
      service('v1', undefined, '{app: store}'),
      read,
      target(),
      split('[{service: v1, weight: 1}]'),
    ),
    /service: store/,
  ],
  [
    'PortNameMisleads',
    documents(pods, read, target(), service('store', '[{name: mysql, port: 3306, targetPort: 8080}]')),
    /mysql/,
  ],
  [
    'PortNameMisleads',
    documents(pods, read, target(), service('store', '[{name: db, port: 5432, targetPort: 8080}]')),
    /5432/,
  ],
  ['SelectorMatchesNothing', documents(...good, service('cart', undefined, '{app: carts}')), /selector|ports/],
  ['WorkloadWithoutService', documents(pods, read, target()), /name: store/],
  ['NobodyMayCall', documents(...good, pod('lonely'), service('lonely')), /name: lonely/],
  [
    'ModePermissive',
    documents(
      ...good,
      'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, annotations: {tulle.dev/mode: permissive}}',
    ),
    /annotations/,
  ],
  [
    'VersionOld',
    documents(
      pods,
      store,
      read,
      'apiVersion: access.smi-spec.io/v1alpha2\nkind: TrafficTarget\nmetadata: {name: t, namespace: shop}\nspec:\n  destination: {kind: ServiceAccount, name: store}\n  rules: [{kind: HTTPRouteGroup, name: routes}]\n  sources: [{kind: ServiceAccount, name: buyer}]',
    ),
    /apiVersion/,
  ],
];

describe('analyzeMesh', () => {
  it('says nothing of a mesh in which nothing is wrong', () => {
    assert.deepEqual(analyzeText(documents(...good)).problems, []);
  });

  for (const [reason, text, line] of mistakes) {
    it(`${reason}: ${line.source}`, () => {
      const analyzed = analyzeText(text);
      const found = analyzed.problems.filter((problem) => problem.reason === reason);
      assert.ok(
        found.length > 0,
        JSON.stringify(analyzed.problems.map(({ reason: other, message }) => `${other}: ${message}`)),
      );
      assert.ok(
        found.some((problem) => line.test(lineOf(analyzed, problem))),
        lineOf(analyzed, found[0] as never),
      );
    });
  }

  it('leaves alone what is right: canaries, prefixes, several versions, all of one kind', () => {
    const text = documents(
      pods.map((text) => (text.includes('name: buyer') ? text.replace('tier: shop', 'tier: none') : text)),
      pod('store-two').replace('serviceAccountName: store-two', 'serviceAccountName: store'),
      service('store', undefined, '{tier: shop}'),
      service('v1', undefined, '{app: store}'),
      service('v2', undefined, '{app: store-two}'),
      group(
        '{name: a, pathRegex: "/a/.*", methods: [GET]}\n{name: b, pathRegex: "/(b|c)", methods: [GET, POST]}\n{name: c, pathRegex: "/a/.*", methods: [POST]}',
      ),
      target(),
      split('[{service: v1, weight: 90}, {service: v2, weight: 10}]'),
    );
    assert.deepEqual(analyzeText(text).problems, []);
  });
});

describe('suppress', () => {
  const wrong = (comment: string, extra = ''): string =>
    documents(
      pods,
      store,
      group(`${comment}{name: read, pathRegex: /api/}`).replace('- # ', '# '),
      target(undefined, { extra }),
    );

  it('obeys a comment above the line or on it, and keeps its reason', () => {
    for (const text of [
      wrong('# tulle:ignore PathAnchoring the app redirects\n'),
      wrong('').replace('pathRegex: /api/}', 'pathRegex: /api/} # tulle:ignore PathAnchoring the app redirects'),
    ]) {
      const { problems, suppressed } = analyzeText(text);
      assert.deepEqual(problems, [], text);
      assert.deepEqual(
        suppressed.map(({ problem, justification }) => [problem.reason, justification]),
        [['PathAnchoring', 'the app redirects']],
      );
    }
  });

  it('obeys an annotation of the object', () => {
    const text = documents(
      ...good.slice(0, 4),
      target(undefined, {
        from: '{kind: ServiceAccount, name: buyr}',
        extra: ', annotations: {tulle.dev/ignore: "SourceUnknown comes later"}',
      }),
    );
    const { problems, suppressed } = analyzeText(text);
    assert.deepEqual([problems, suppressed.map(({ justification }) => justification)], [[], ['comes later']]);
  });

  const reasons = (text: string): readonly string[] => analyzeText(text).problems.map(({ reason }) => reason);

  it('does not obey without a reason, nor an unknown code, and says so', () => {
    assert.deepEqual(reasons(wrong('# tulle:ignore PathAnchoring\n')).toSorted(), ['IgnoreInvalid', 'PathAnchoring']);
    assert.deepEqual(reasons(wrong('# tulle:ignore Everything because\n')).toSorted(), [
      'IgnoreInvalid',
      'PathAnchoring',
    ]);
  });

  it('says when there is nothing to ignore any more', () => {
    assert.deepEqual(reasons(`# tulle:ignore BackendNotFound it was so once\n${documents(...good)}`), ['IgnoreUnused']);
  });
});
