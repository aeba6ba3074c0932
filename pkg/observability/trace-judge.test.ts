import assert from 'node:assert/strict';
import type { Span } from './span.ts';
import { makeSpan } from './span.fixture.ts';
import type { TraceSummary } from './trace-judge.ts';
import { createTraceJudge } from './trace-judge.ts';
import { createTraceStore } from './trace-store.ts';

const hex = (trace: number): string => trace.toString(16).padStart(32, '0');

interface Step {
  readonly trace: number;
  readonly span: number;
  readonly parent?: number;
  readonly at: number;
  readonly ms?: number;
}

function call(pod: string, server: string, step: Step): Span {
  return makeSpan({
    ms: 10,
    ...step,
    kind: 'client',
    pod,
    service: pod.split('/')[1]!,
    name: `GET ${server}`,
    attributes: {
      'tulle.direction': 'outbound',
      'tulle.service': `ns/${server}:80`,
      'tulle.pod': `ns/${server}`,
      'http.request.method': 'GET',
      'http.response.status_code': 200,
    },
  });
}

function served(pod: string, step: Step): Span {
  const attributes = { 'tulle.direction': 'inbound', 'http.request.method': 'GET' };
  return makeSpan({ ms: 10, ...step, kind: 'server', pod, service: pod.split('/')[1]!, attributes });
}

function judge(...spans: Span[]): (trace: number) => TraceSummary {
  let time = 0;
  const store = createTraceStore({ now: () => time });
  const all = createTraceJudge(store, () => time);
  for (const span of spans) store.add([span]);
  time = 10_000;
  return (trace) => {
    const stored = store.trace(hex(trace));
    assert.ok(stored);
    return all.summary(stored);
  };
}

describe('the judge of traces', () => {
  it('calls a trace complete when every span has its parent and every call its server', () => {
    const summary = judge(
      call('ns/a', 'b', { trace: 1, span: 1, at: 0, ms: 30 }),
      served('ns/b', { trace: 1, span: 2, parent: 1, at: 1, ms: 28 }),
      call('ns/b', 'c', { trace: 1, span: 3, parent: 2, at: 2 }),
      served('ns/c', { trace: 1, span: 4, parent: 3, at: 3, ms: 5 }),
    )(1);

    assert.equal(summary.state, 'complete');
    assert.deepEqual(summary.services, ['a', 'b', 'c']);
    assert.deepEqual(summary.broken, []);
    assert.equal(summary.durationMs, 30);
  });

  for (const order of ['in order', 'in reverse']) {
    it(`says which app dropped the headers, in both parts of the trace (${order})`, () => {
      const spans = [
        call('ns/a', 'b', { trace: 1, span: 1, at: 0, ms: 30 }),
        served('ns/b', { trace: 1, span: 2, parent: 1, at: 1, ms: 28 }),
        call('ns/b', 'c', { trace: 2, span: 3, at: 2 }),
        served('ns/c', { trace: 2, span: 4, parent: 3, at: 3, ms: 5 }),
      ];
      const summary = judge(...(order === 'in order' ? spans : spans.reverse()));

      const link = { app: 'b', pod: 'ns/b', service: 'ns/c:80', from: hex(1), to: hex(2), certain: true };
      assert.deepEqual(summary(1).broken, [link]);
      assert.deepEqual(summary(2).broken, [link]);
      assert.equal(summary(2).state, 'incomplete');
      assert.equal(summary(2).missing, 'b did not pass the trace headers on to ns/c:80');
    });
  }

  it('is not certain when the app served two requests at once', () => {
    const summary = judge(
      served('ns/b', { trace: 1, span: 2, at: 0, ms: 30 }),
      served('ns/b', { trace: 2, span: 2, at: 1, ms: 30 }),
      call('ns/b', 'c', { trace: 3, span: 3, at: 2 }),
    )(3);

    assert.equal(summary.broken[0]?.certain, false);
  });

  it('blames nobody who passes the headers on while a background call runs', () => {
    const summary = judge(
      served('ns/b', { trace: 1, span: 2, at: 0, ms: 30 }),
      call('ns/b', 'c', { trace: 1, span: 3, parent: 2, at: 1 }),
      served('ns/c', { trace: 1, span: 4, parent: 3, at: 2, ms: 5 }),
      call('ns/b', 'c', { trace: 2, span: 3, at: 2 }),
    );

    assert.deepEqual(summary(1).broken, []);
    assert.deepEqual(summary(2).broken, []);
  });

  it('blames nobody who calls by itself', () => {
    const idle = [100, 200, 300].map((at, index) => call('ns/b', 'c', { trace: 10 + index, span: 1, at }));
    const summary = judge(
      ...idle,
      served('ns/b', { trace: 1, span: 2, at: 0, ms: 30 }),
      call('ns/b', 'c', { trace: 2, span: 3, at: 2 }),
    );

    assert.deepEqual(summary(1).broken, []);
  });

  it('misses a parent, and the sidecar of the server', () => {
    const orphan = judge(served('ns/b', { trace: 1, span: 2, parent: 1, at: 0 }))(1);
    assert.match(orphan.missing, /^the parent of b "op" was not reported$/);

    const alone = judge(call('ns/a', 'b', { trace: 1, span: 1, at: 0 }))(1);
    assert.match(alone.missing, /^the sidecar of ns\/b reported no span for "GET b"$/);
  });

  it('waits while spans arrive', () => {
    const store = createTraceStore({ now: () => 1_000 });
    const all = createTraceJudge(store, () => 1_500);
    store.add([served('ns/b', { trace: 1, span: 2, parent: 1, at: 0 })]);

    assert.equal(all.summary(store.trace(hex(1))!).state, 'arriving');
  });
});
