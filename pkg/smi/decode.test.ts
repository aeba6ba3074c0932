import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { decodeSmiObject, isSmiObject, toWrittenField } from './decode.ts';
import { type SmiObject, smiKinds } from './kinds.ts';

/** What a hub object says beyond its metadata, and where its problems are. */
function decoded(yaml: string): { value: unknown; problems: string[] } {
  const { value, problems } = decodeSmiObject(parse(yaml));
  return { value: value && bodyOf(value), problems: problems.map(({ field, reason }) => `${reason} ${field}`) };
}

function parse(yaml: string): unknown {
  return parseAllDocuments(yaml)[0]?.toJS();
}

const metaFields = ['apiVersion', 'kind', 'namespace', 'name', 'labels', 'annotations'];

function bodyOf(value: SmiObject): unknown {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !metaFields.includes(key)));
}

function head(group: string, version: string, kind: string): string {
  return `apiVersion: ${group}.smi-spec.io/${version}\nkind: ${kind}\nmetadata: {name: x, namespace: prod}\n`;
}

describe('decodeSmiObject', () => {
  describe('TrafficTarget', () => {
    const pay = { kind: 'ServiceAccount', name: 'pay', namespace: 'prod' };
    const shop = { kind: 'ServiceAccount', name: 'shop', namespace: 'front' };
    const rule = { kind: 'HTTPRouteGroup', name: 'pay-routes', matches: ['charge'] };

    it('reads v1alpha1, whose fields stand at the top level, with the port as text too', () => {
      const yaml = `${head('access', 'v1alpha1', 'TrafficTarget')}
destination: {kind: ServiceAccount, name: pay, namespace: prod, port: "8443"}
specs: [{kind: HTTPRouteGroup, name: pay-routes, matches: [charge]}]
sources: [{kind: ServiceAccount, name: shop, namespace: front}]`;
      const value = { destination: { ...pay, port: 8443 }, rules: [rule], sources: [shop], shadow: false };
      assert.deepEqual(decoded(yaml), { value, problems: [] });
    });

    for (const version of ['v1alpha2', 'v1alpha3', 'v1alpha4']) {
      it(`reads ${version}`, () => {
        const yaml = `${head('access', version, 'TrafficTarget')}
spec:
  destination: {kind: ServiceAccount, name: pay}
  rules: [{kind: HTTPRouteGroup, name: pay-routes, matches: [charge]}, {kind: TCPRoute, name: db, matches: []}]
  sources: [{kind: ServiceAccount, name: shop, namespace: front}]`;
        const rules = [rule, { kind: 'TCPRoute', name: 'db' }];
        assert.deepEqual(decoded(yaml), {
          value: { destination: pay, rules, sources: [shop], shadow: false },
          problems: [],
        });
      });
    }

    it('keeps a rule that it cannot read in its place, and never lets its matches become "all"', () => {
      const yaml = `${head('access', 'v1alpha4', 'TrafficTarget')}
spec:
  destination: {kind: ServiceAccount, name: pay}
  rules: [{kind: TCPRoute}, {kind: HTTPRouteGroup, name: a, matches: [5]}, 7, {kind: HTTPRouteGroup, name: b, match: [c]}]
  sources: [{kind: ServiceAccount, name: shop, namespce: front}]`;
      const { value, problems } = decoded(yaml);
      assert.deepEqual(value, {
        destination: pay,
        rules: [
          { kind: 'TCPRoute', name: '', matches: [], broken: true },
          { kind: 'HTTPRouteGroup', name: 'a', matches: [] },
          { kind: '', name: '', broken: true },
          { kind: 'HTTPRouteGroup', name: 'b', matches: [], broken: true },
        ],
        sources: [{ kind: 'ServiceAccount', name: 'shop', namespace: 'prod', broken: true }],
        shadow: false,
      });
      assert.deepEqual(problems, [
        'FieldMissing /spec/rules/0/name',
        'FieldInvalid /spec/rules/1/matches/0',
        'FieldInvalid /spec/rules/2',
        'FieldUnknown /spec/rules/3/match',
        'FieldUnknown /spec/sources/0/namespce',
      ]);
    });

    it('grants nothing without a destination that it can read', () => {
      const yaml = `${head('access', 'v1alpha2', 'TrafficTarget')}
spec: {destination: {kind: ServiceAccount, name: pay, port: http}, rules: [], sources: []}`;
      assert.deepEqual(decoded(yaml), { value: undefined, problems: ['FieldInvalid /spec/destination/port'] });
    });

    it('is a rehearsal when its mode is shadow, or cannot be understood', () => {
      for (const [mode, shadow] of [
        ['shadow', true],
        ['enforce', false],
        ['Shadow', true],
      ] as const) {
        const annotated = { annotations: { 'tulle.dev/mode': mode }, name: 'x', namespace: 'prod' };
        const spec = { destination: pay, rules: [], sources: [] };
        const raw = { apiVersion: 'access.smi-spec.io/v1alpha4', kind: 'TrafficTarget', metadata: annotated, spec };
        const { value } = decodeSmiObject(raw);
        assert.equal(value?.kind === 'TrafficTarget' && value.shadow, shadow);
      }
    });
  });

  describe('HTTPRouteGroup', () => {
    it('reads the top level of v1alpha1 and v1alpha2, and both shapes of headers', () => {
      const matches = [{ name: 'beta', index: 0, headers: [{ name: 'x-tier', value: '^beta$' }] }];
      for (const headers of ['[{X-Tier: "^beta$"}]', '{X-Tier: "^beta$"}']) {
        for (const version of ['v1alpha1', 'v1alpha2']) {
          const yaml = `${head('specs', version, 'HTTPRouteGroup')}matches: [{name: beta, headers: ${headers}}]`;
          assert.deepEqual(decoded(yaml), { value: { matches }, problems: [] });
        }
      }
    });

    it('reads spec.matches; "*" and an empty list of methods are any', () => {
      const yaml = `${head('specs', 'v1alpha4', 'HTTPRouteGroup')}
spec:
  matches:
  - {name: charge, pathRegex: "/charge/[0-9]+", methods: [POST, PUT, POST]}
  - {name: any, methods: [GET, "*"]}
  - {name: none-given, methods: []}`;
      const matches = [
        { name: 'charge', index: 0, pathRegex: '/charge/[0-9]+', methods: ['POST', 'PUT'] },
        { name: 'any', index: 1 },
        { name: 'none-given', index: 2 },
      ];
      assert.deepEqual(decoded(yaml), { value: { matches }, problems: [] });
    });

    it('drops a match that it cannot read, alone', () => {
      const yaml = `${head('specs', 'v1alpha4', 'HTTPRouteGroup')}
spec:
  matches:
  - {name: a, pathRegex: 5}
  - {name: b, path: /books}
  - {name: c, pathRegex: "(?!x)y"}
  - {name: d, methods: GET}
  - {name: e, headers: [{}]}
  - {name: f, headers: {":path": x}}
  - {name: g, pathRegex: }
  - {name: good}
  - {name: good}
  - {name: h, pathRegex: "("}`;
      const { value, problems } = decoded(yaml);
      assert.deepEqual(value, {
        matches: [
          { name: 'good', index: 7 },
          { name: 'good', index: 8 },
        ],
      });
      assert.deepEqual(problems, [
        'FieldInvalid /spec/matches/0/pathRegex',
        'FieldUnknown /spec/matches/1/path',
        'RegexUnsupported /spec/matches/2/pathRegex',
        'FieldInvalid /spec/matches/3/methods',
        'FieldInvalid /spec/matches/4/headers/0',
        'FieldInvalid /spec/matches/5/headers/:path',
        'FieldInvalid /spec/matches/6/pathRegex',
        'RegexInvalid /spec/matches/9/pathRegex',
        'DuplicateMatch /spec/matches/8/name',
      ]);
    });

    it("takes the matches of the specification's own example from the wrong place, with a warning", () => {
      const yaml = `${head('specs', 'v1alpha4', 'HTTPRouteGroup')}matches: [{name: a}]`;
      assert.deepEqual(decoded(yaml), {
        value: { matches: [{ name: 'a', index: 0 }] },
        problems: ['FieldInvalid /matches'],
      });
    });
  });

  describe('TCPRoute and UDPRoute', () => {
    it('reads a route without ports as all ports, in every version', () => {
      for (const [version, rest] of [
        ['v1alpha1', ''],
        ['v1alpha2', ''],
        ['v1alpha3', 'spec: {}'],
        ['v1alpha4', 'spec: {}'],
        ['v1alpha4', 'spec: {matches: {ports: []}}'],
      ] as const) {
        assert.deepEqual(decoded(head('specs', version, 'TCPRoute') + rest), { value: {}, problems: [] });
      }
    });

    it('reads ports, and opens none where it cannot read them', () => {
      for (const kind of ['TCPRoute', 'UDPRoute']) {
        const ports = (spec: string): unknown => decoded(`${head('specs', 'v1alpha4', kind)}spec: ${spec}`);
        assert.deepEqual(ports('{matches: {name: x, ports: [8300, 8301]}}'), {
          value: { ports: [8300, 8301] },
          problems: [],
        });
        assert.deepEqual(ports('{matches: {ports: [0, 80]}}'), {
          value: { ports: [80] },
          problems: ['FieldInvalid /spec/matches/ports/0'],
        });
        assert.deepEqual(ports('{matches: [{ports: [80]}]}'), {
          value: { ports: [] },
          problems: ['FieldInvalid /spec/matches'],
        });
        assert.deepEqual(ports('{ports: [80]}'), { value: { ports: [] }, problems: ['FieldUnknown /spec/ports'] });
      }
    });
  });

  describe('TrafficSplit', () => {
    function split(version: string, backends: string, more = ''): ReturnType<typeof decoded> {
      return decoded(`${head('split', version, 'TrafficSplit')}spec: {service: cart, backends: ${backends}${more}}`);
    }
    const [a, b] = [
      { service: 'cart-a', index: 0 },
      { service: 'cart-b', index: 1 },
    ];

    it('scales the quantities of v1alpha1 by one factor, exactly', () => {
      const backends = '[{service: cart-a, weight: 900m}, {service: cart-b, weight: "0.1"}]';
      assert.deepEqual(split('v1alpha1', backends), {
        value: {
          service: 'cart',
          backends: [
            { ...a, weight: 9 },
            { ...b, weight: 1 },
          ],
        },
        problems: [],
      });
    });

    it('reads whole weights as they are, as numbers and as text', () => {
      for (const version of ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4']) {
        const backends = '[{service: cart-a, weight: 20}, {service: cart-b, weight: "80"}]';
        assert.deepEqual(split(version, backends), {
          value: {
            service: 'cart',
            backends: [
              { ...a, weight: 20 },
              { ...b, weight: 80 },
            ],
          },
          problems: [],
        });
      }
    });

    it('leaves out a backend whose weight it cannot read, and the split when none is left', () => {
      assert.deepEqual(split('v1alpha4', '[{service: cart-a, weight: -1}, {service: cart-b, weight: 1}]'), {
        value: { service: 'cart', backends: [{ ...b, weight: 1 }] },
        problems: ['WeightInvalid /spec/backends/0/weight'],
      });
      assert.deepEqual(split('v1alpha4', '[{service: cart-a}]'), {
        value: undefined,
        problems: ['FieldMissing /spec/backends/0/weight'],
      });
    });

    it('never makes a split for some users one for all', () => {
      const backends = '[{service: cart-a, weight: 1}]';
      const value = { service: 'cart', backends: [{ ...a, weight: 1 }] };
      const matches = [{ kind: 'HTTPRouteGroup', name: 'beta' }];
      assert.deepEqual(split('v1alpha4', backends, ', matches: [{kind: HTTPRouteGroup, name: beta}]'), {
        value: { ...value, matches },
        problems: [],
      });
      assert.deepEqual(split('v1alpha4', backends, ', matches: [5]'), {
        value: { ...value, matches: [{ kind: '', name: '', broken: true }] },
        problems: ['FieldInvalid /spec/matches/0'],
      });
      assert.deepEqual(split('v1alpha4', backends, ', matches: beta'), {
        value: { ...value, matches: [] },
        problems: ['FieldInvalid /spec/matches'],
      });
    });
  });

  describe('IdentityBinding', () => {
    function binding(schemes: string): ReturnType<typeof decoded> {
      return decoded(`${head('access', 'v1alpha4', 'IdentityBinding')}spec: {schemes: ${schemes}}`);
    }

    it('reads the schemes, and puts the scheme of a SPIFFE id back', () => {
      assert.deepEqual(
        binding(
          '{serviceAccount: pay, podLabelSelector: null, spiffeIdentities: [corp.example/a, "spiffe://corp.example/b"]}',
        ),
        {
          value: { serviceAccount: 'pay', spiffeIdentities: ['spiffe://corp.example/a', 'spiffe://corp.example/b'] },
          problems: [],
        },
      );
      assert.deepEqual(binding('{podLabelSelector: {matchLabels: {app: pay}}}'), {
        value: { podLabelSelector: { app: 'pay' } },
        problems: [],
      });
    });

    it('reads the list of selectors that the last text has, when there is one', () => {
      assert.deepEqual(binding('{podLabelSelectors: [{name: pods, matchLabels: {app: pay}}]}'), {
        value: { podLabelSelector: { app: 'pay' } },
        problems: [],
      });
      const two = '[{name: a, matchLabels: {app: a}}, {name: b, matchLabels: {app: b}}]';
      assert.deepEqual(binding(`{podLabelSelectors: ${two}}`), {
        value: undefined,
        problems: ['FieldInvalid /spec/schemes/podLabelSelectors'],
      });
    });

    it('stands for nobody where it would stand for anybody', () => {
      const at = '/spec/schemes';
      for (const [schemes, problem] of [
        ['{}', `FieldMissing ${at}`],
        ['{podLabelSelector: {matchLabels: {}}}', `FieldInvalid ${at}/podLabelSelector/matchLabels`],
        [
          '{podLabelSelector: {matchLabels: {app: 5, tier: web}}}',
          `FieldInvalid ${at}/podLabelSelector/matchLabels/app`,
        ],
        [
          '{podLabelSelector: {matchLabels: {app: a}, matchExpressions: []}}',
          `FieldUnknown ${at}/podLabelSelector/matchExpressions`,
        ],
        ['{podLabelSelector: {matchLabels: {app: a}}, serviceAccount: pay}', `FieldInvalid ${at}/serviceAccount`],
      ] as const) {
        assert.deepEqual(binding(schemes), { value: undefined, problems: [problem] }, schemes);
      }
    });
  });

  it('tells an unknown version of a known kind', () => {
    assert.deepEqual(decoded(head('split', 'v1', 'TrafficSplit')), {
      value: undefined,
      problems: ['UnknownVersion /apiVersion'],
    });
    assert.ok(isSmiObject('split.smi-spec.io/v1', 'TrafficSplit'));
    assert.ok(!isSmiObject('gateway.networking.k8s.io/v1alpha2', 'TCPRoute'));
  });

  it('translates the fields of the hub to those of the version that was written', () => {
    const target = (version: string): { apiVersion: string; kind: string } => ({
      apiVersion: `access.smi-spec.io/${version}`,
      kind: 'TrafficTarget',
    });
    assert.equal(toWrittenField(target('v1alpha1'), '/spec/rules/0/name'), '/specs/0/name');
    assert.equal(toWrittenField(target('v1alpha1'), '/spec/sources'), '/sources');
    assert.equal(toWrittenField(target('v1alpha2'), '/spec/rules/0/name'), '/spec/rules/0/name');
    const group = { apiVersion: 'specs.smi-spec.io/v1alpha2', kind: 'HTTPRouteGroup' };
    assert.equal(toWrittenField(group, '/spec/matches/0'), '/matches/0');
  });

  const known = fc.constantFrom(
    ...smiKinds.flatMap(({ group, kind, versions }) =>
      versions.map((version) => ({ apiVersion: `${group}/${version}`, kind, metadata: { name: 'x' } })),
    ),
  );

  it('never throws, whatever JSON comes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (raw) => {
        decodeSmiObject(raw);
      }),
    );
    const fields = ['spec', 'specs', 'rules', 'sources', 'destination', 'matches', 'backends', 'service', 'schemes'];
    const body = fc.dictionary(fc.constantFrom(...fields), fc.jsonValue());
    fc.assert(
      fc.property(known, body, fc.jsonValue(), (object, top, spec) => {
        decodeSmiObject({ ...object, ...top, spec });
        decodeSmiObject({ ...object, spec: top });
      }),
    );
  });

  it('never widens: replacing any value by one of another type grants no more than before', () => {
    const raw = parse(`${head('specs', 'v1alpha4', 'HTTPRouteGroup')}
spec:
  matches: [{name: a, pathRegex: /a, methods: [GET], headers: [{x: y}]}, {name: b, pathRegex: /b}]`) as object;
    const before = new Set(grants(decodeSmiObject(raw).value));
    for (const changed of spoiled(raw)) {
      for (const grant of grants(decodeSmiObject(changed).value)) assert.ok(before.has(grant), JSON.stringify(changed));
    }
    const route = parse(`${head('specs', 'v1alpha4', 'TCPRoute')}spec: {matches: {ports: [80]}}`) as object;
    for (const changed of spoiled(route)) {
      const { value } = decodeSmiObject(changed);
      if (value?.kind === 'TCPRoute')
        assert.ok(
          value.ports?.every((port) => port === 80),
          JSON.stringify(changed),
        );
    }
  });
});

function grants(value: SmiObject | undefined): string[] {
  if (value?.kind !== 'HTTPRouteGroup') return [];
  return value.matches.map(({ index: _i, ...match }) => JSON.stringify(match));
}

/** The object with each of its values below `spec` replaced by values of other types, one at a time. */
function spoiled(value: unknown, depth = 0): unknown[] {
  const others = depth < 1 ? [] : [null, 7, true, {}, [[]], ''].filter((other) => typeof other !== typeof value);
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    const inner = items.flatMap((item, i) => spoiled(item, depth + 1).map((other) => items.with(i, other)));
    // `headers: {}` is a user's "none", as `methods: []` is: not among what can't be read.
    return [null, 7, 'x', ...inner];
  }
  if (typeof value !== 'object' || value === null) return others;
  return [
    ...others,
    ...Object.entries(value).flatMap(([key, field]) => {
      if (depth === 0 && key !== 'spec') return [];
      return spoiled(field, depth + 1).map((other) => ({ ...value, [key]: other }));
    }),
  ];
}
