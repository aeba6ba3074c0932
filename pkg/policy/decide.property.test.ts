import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { decideInbound, decideOutbound, type InboundCall } from './decide.ts';
import { explainInbound } from './explain.ts';
import type { ServiceIdentity } from './identity.ts';
import type { AccessRule, InboundPolicy } from './inbound.ts';
import type { HttpMatch, HttpRequest } from './match.ts';
import { compilePattern } from './pattern.ts';

const identity = fc
  .constantFrom('a', 'b', 'c')
  .map((name) => `spiffe://cluster.local/ns/n/sa/${name}` as ServiceIdentity);
const origin = fc.nat(9).map((n) => ({ kind: 'TrafficTarget', namespace: 'n', name: `t${n}` }));
const pattern = fc.constantFrom('/a', '/a.*', '.*', '/[ab]', '/b|/a', '/a$', '(?i)/A', '/a/(b|c)+');
const httpMatch: fc.Arbitrary<HttpMatch> = fc.record(
  {
    name: fc.constant('m'),
    origin: fc.constant({ kind: 'HTTPRouteGroup', namespace: 'n', name: 'g' }),
    path: pattern,
    methods: fc.subarray(['GET', 'POST'], { minLength: 1 }),
    headers: fc.array(fc.record({ name: fc.constantFrom('x', 'host'), value: fc.constantFrom('1', '.*', 'h') }), {
      minLength: 1,
      maxLength: 2,
    }),
  },
  { requiredKeys: ['name', 'origin'] },
);
const rule: fc.Arbitrary<AccessRule> = fc.record(
  {
    origin,
    sources: fc.uniqueArray(identity, { minLength: 1 }),
    ports: fc.subarray([80, 81], { minLength: 1 }),
    http: fc.array(httpMatch, { minLength: 1, maxLength: 3 }),
    shadow: fc.constant(true as const),
  },
  { requiredKeys: ['origin', 'sources'] },
);
const mode = fc.constantFrom('enforce' as const, 'shadow' as const, 'permissive' as const);
const policyOf = (rules: readonly AccessRule[], as: InboundPolicy['mode']): InboundPolicy => ({
  identity: 'spiffe://cluster.local/ns/n/sa/a' as ServiceIdentity,
  mode: as,
  modeFrom: 'mesh',
  ports: [80, 81].map((port) => ({ port, protocol: 'http', services: ['n/s'] })),
  rules,
});
const httpRequest: fc.Arbitrary<HttpRequest> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'get'),
    path: fc.constantFrom('/a', '/b', '/ab', '/a/bc', '/a?x', '/A', '/'),
    authority: fc.constantFrom('h', 'i'),
    lines: fc.array(fc.constantFrom('1', '2'), { maxLength: 2 }),
  })
  .map(({ lines, ...rest }) => ({ ...rest, header: (name) => (name === 'x' ? lines : []) }));
const call: fc.Arbitrary<InboundCall> = fc.record(
  { source: identity, port: fc.constantFrom(80, 81, 82), request: httpRequest },
  { requiredKeys: ['port'] },
);

describe('properties of decisions', () => {
  it('explainInbound agrees with decideInbound', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 5 }), mode, call, (rules, as, asked) => {
        const report = explainInbound(policyOf(rules, as), asked);
        const held = report.rules.filter((r) => r.held && !r.rule.shadow && report.portKnown);
        assert.equal(report.verdict.rule !== undefined, held.length > 0);
        assert.equal(report.verdict.reason === undefined, held.length > 0);
        assert.equal(report.verdict.allowed, held.length > 0 || as !== 'enforce');
        const rehearsed = report.rules.filter((r) => r.held && r.rule.shadow && report.portKnown);
        assert.equal(report.verdict.shadowRules?.length ?? 0, rehearsed.length);
        for (const { rule: of, http, source, port, held: all } of report.rules) {
          assert.equal(http === undefined, of.http === undefined);
          if (asked.request) assert.equal(http?.held ?? true, http?.matches.some((m) => m.held) ?? true);
          assert.equal(all, source && port && (http?.held ?? true));
          for (const m of http?.matches ?? []) {
            const parts = [m.path, m.method, ...(m.headers ?? []).map((h) => h.held)];
            assert.equal(
              m.held,
              parts.every((part) => part !== false),
            );
          }
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('a union of rules is monotone: one more never refuses what passed, in whatever order', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), rule, call, (rules, more, asked) => {
        const before = decideInbound(policyOf(rules, 'enforce'), asked).allowed;
        const after = decideInbound(policyOf([...rules, more], 'enforce'), asked).allowed;
        assert.ok(!before || after);
        assert.equal(decideInbound(policyOf([more, ...rules].reverse(), 'enforce'), asked).allowed, after);
      }),
    );
  });

  it('weights are proportional: shares add up to 1, and stay when all weights are multiplied', () => {
    const weights = fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 1000 }), (list, factor) => {
        const shares = (by: number): number[] => {
          const backends = list.map((weight, i) => ({
            service: `v${i}`,
            weight: weight * by,
            port: 80,
            endpoints: 'k',
          }));
          const decision = decideOutbound({
            key: 'n/s:80',
            namespace: 'n',
            name: 's',
            port: 80,
            protocol: 'http',
            addresses: [],
            headless: false,
            routes: [{ backends }],
          });
          return decision.kind === 'route' ? decision.backends.map(({ share }) => share) : [];
        };
        const once = shares(1);
        assert.equal(once.length, list.filter((weight) => weight > 0).length);
        if (once.length > 0) assert.ok(Math.abs(once.reduce((a, b) => a + b) - 1) < 1e-9);
        assert.ok(shares(factor).every((share, i) => Math.abs(share - (once[i] ?? 0)) < 1e-12));
      }),
    );
  });

  it('the short cuts for simple patterns say what the engine says', () => {
    const piece = fc.constantFrom('/', 'a', 'b', '.*', '-', '\n', ' ', '.', '|', '$');
    const text = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, text, (source, value) => {
        assert.equal(compilePattern(source).test(value), RE2JS.matches(source, value));
      }),
      { numRuns: 2000 },
    );
  });
});
