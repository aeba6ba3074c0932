import assert from 'node:assert/strict';
import { createCallLog } from './call-log.ts';
import type { Span } from './span.ts';
import type { SpanFixture } from './span.fixture.ts';
import { makeSpan } from './span.fixture.ts';

interface CallFixture extends Partial<SpanFixture> {
  trace: number;
}

function clientSpan({ trace, attributes, ...rest }: CallFixture): Span {
  return makeSpan({
    trace,
    span: 1,
    kind: 'client',
    pod: 'bookbuyer/buyer-0',
    ...rest,
    attributes: {
      'tulle.direction': 'outbound',
      'tulle.source': 'bookbuyer/bookbuyer',
      'tulle.service': 'bookstore/bookstore:14001',
      'tulle.verdict': 'allowed',
      'tulle.pod': 'bookstore/v1-0',
      'http.request.method': 'GET',
      'url.path': '/books',
      'http.response.status_code': 200,
      ...attributes,
    },
  });
}

function serverSpan({ trace, attributes, ...rest }: CallFixture): Span {
  return makeSpan({
    trace,
    span: 2,
    parent: 1,
    kind: 'server',
    pod: 'bookstore/v1-0',
    ...rest,
    attributes: {
      'tulle.direction': 'inbound',
      'tulle.source': 'bookbuyer/bookbuyer',
      'tulle.service': 'bookstore/bookstore-v1:14001',
      'tulle.verdict': 'allowed',
      'tulle.rule': 'bookstore/bookstore',
      'http.request.method': 'GET',
      'url.path': '/books',
      ...attributes,
    },
  });
}

const tcp = { 'http.request.method': false as unknown as string, 'tulle.service': 'db/mysql:3306' };

function log(now = (): number => 10_000): ReturnType<typeof createCallLog> {
  return createCallLog({ now });
}

describe('the call log', () => {
  for (const order of ['client first', 'server first']) {
    it(`counts a call once, with the rule that the server's sidecar knows (${order})`, () => {
      const calls = log();
      const spans = [clientSpan({ trace: 1 }), serverSpan({ trace: 1 })];
      for (const span of order === 'client first' ? spans : spans.reverse()) calls.add([span]);

      const [flow, ...others] = calls.flows(0);
      assert.deepEqual(others, []);
      assert.equal(flow?.requests, 1);
      assert.equal(flow.service, 'bookstore/bookstore:14001');
      assert.equal(flow.rule, 'bookstore/bookstore');
      assert.equal(calls.requests(0, 10).length, 1);
    });
  }

  it('counts a call whose rule is not known yet with its like, and by itself when it stays unknown', () => {
    let time = 10_000;
    const calls = log(() => time);
    calls.add([clientSpan({ trace: 1, at: 9_000 }), serverSpan({ trace: 1, at: 9_000 })]);
    calls.add([clientSpan({ trace: 2, at: 9_500 })]);
    assert.deepEqual(
      calls.flows(0).map(({ rule, requests }) => [rule, requests]),
      [['bookstore/bookstore', 2]],
    );

    time += 20_000;
    assert.equal(calls.flows(0).length, 2);
  });

  it('moves a call that the server denied', () => {
    const calls = log();
    calls.add([clientSpan({ trace: 1, attributes: { 'http.response.status_code': 403 } })]);
    calls.add([
      serverSpan({ trace: 1, attributes: { 'tulle.verdict': 'denied', 'tulle.reason': 'RequestNotAllowed' } }),
    ]);

    const [flow] = calls.flows(0);
    assert.equal(flow?.verdict, 'denied');
    assert.equal(flow.denied, 1);
    assert.equal(flow.reason, 'RequestNotAllowed');
    assert.equal(flow.errors, 0);
  });

  it('counts a call of a peer without sidecar at once, and one whose client never reported after a while', () => {
    let time = 10_000;
    const calls = log(() => time);
    calls.add([serverSpan({ trace: 1, attributes: { 'tulle.source': '' } }), serverSpan({ trace: 2 })]);
    assert.equal(calls.requests(0, 10).length, 1);

    time += 5_000;
    assert.equal(calls.requests(0, 10).length, 2);
  });

  it('joins the two ends of a TCP connection, which carries no ids', () => {
    const calls = log();
    calls.add([clientSpan({ trace: 1, at: 1_000, attributes: tcp })]);
    calls.add([serverSpan({ trace: 2, at: 1_004, attributes: { ...tcp, 'tulle.rule': 'db/mysql' } })]);

    const flows = calls.flows(0);
    assert.equal(flows.length, 1);
    assert.equal(flows[0]?.protocol, 'tcp');
    assert.equal(flows[0].rule, 'db/mysql');
  });

  it('forgets flows that are older than the window', () => {
    const calls = log(() => 1_000_000);
    calls.add([clientSpan({ trace: 1, at: 100_000 }), clientSpan({ trace: 2, at: 990_000 })]);

    assert.equal(calls.flows(900_000)[0]?.requests, 1);
  });

  it('tells latencies within a tenth', () => {
    const calls = log();
    for (let trace = 1; trace <= 100; trace += 1) calls.add([clientSpan({ trace, ms: trace })]);

    const [flow] = calls.flows(0);
    assert.ok(Math.abs((flow?.p50 ?? 0) - 50) < 5, `p50 ${flow?.p50}`);
    assert.ok(Math.abs((flow?.p99 ?? 0) - 99) < 10, `p99 ${flow?.p99}`);
  });

  it('counts the shares of a split, anew after its weights changed', () => {
    const calls = log();
    const split = (backend: string): Record<string, string> => ({
      'tulle.split': 'bookstore/s',
      'tulle.backend': backend,
    });
    calls.add([clientSpan({ trace: 1, at: 100, attributes: split('v1') })]);
    calls.add([clientSpan({ trace: 2, at: 200, attributes: split('v1') })]);
    calls.add([clientSpan({ trace: 3, at: 300, attributes: split('v2') })]);
    assert.deepEqual(
      calls.shares('bookstore/s').map(({ backend, requests }) => [backend, requests]),
      [
        ['v1', 2],
        ['v2', 1],
      ],
    );

    calls.resetShares('bookstore/s', 200);
    calls.add([clientSpan({ trace: 4, at: 150, attributes: split('v1') })]);
    assert.deepEqual(calls.shares('bookstore/s'), [
      { backend: 'v1', requests: 1, share: 0.5 },
      { backend: 'v2', requests: 1, share: 0.5 },
    ]);
  });

  it('passes over the spans of apps', () => {
    const calls = log();
    calls.add([makeSpan({ trace: 1, span: 1 })]);
    assert.deepEqual(calls.flows(0), []);
  });

  it('says since when nothing is missing: its beginning, and the newest call that it dropped', () => {
    let time = 5_000;
    const calls = createCallLog({ now: () => time, maxCalls: 2 });
    time = 10_000;
    for (const [trace, at] of [
      [1, 7_000],
      [2, 6_000],
    ] as const)
      calls.add([clientSpan({ trace, at })]);
    assert.equal(calls.recordedSince(), 5_000);

    calls.add([clientSpan({ trace: 3, at: 8_000 })]);
    assert.equal(calls.recordedSince(), 7_000);
    calls.add([clientSpan({ trace: 4, at: 9_000 })]);
    assert.equal(calls.recordedSince(), 7_000, 'what was dropped last may be older');
  });

  it('keeps no more calls than it may, and its flows all the same', () => {
    const calls = createCallLog({ now: () => 10_000, maxCalls: 10 });
    for (let trace = 1; trace <= 100; trace += 1) calls.add([clientSpan({ trace })]);

    assert.equal(calls.requests(0, 1_000).length, 10);
    assert.equal(calls.flows(0)[0]?.requests, 100);
  });
});
