import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { PodStatus } from '../local/pod-status.ts';
import type { PodPlan } from '../local/pod-plan.ts';
import type { Flow } from '../observability/flows.ts';
import { renderPicture, stateOf, type MeshPicture } from './mesh-view.ts';
import type { Problem } from '../problem/problem.ts';
import { createPaint, cut, paintFor, toTable, widthOf, wrap } from './table.ts';

const flow: Flow = {
  source: 'shop/web',
  service: 'shop/cart:80',
  destination: 'shop/cart',
  split: '',
  backend: 'cart-v1',
  protocol: 'http',
  verdict: 'allowed',
  reason: '',
  rule: 'shop/web-to-cart',
  requests: 7,
  denied: 0,
  errors: 0,
  p50: 1.25,
  p99: 3,
  lastSeen: 0,
  example: { traceId: '', method: 'GET', path: '/' },
};
const status: PodStatus = {
  phase: 'Running',
  ready: true,
  stopping: false,
  ip: '10.244.0.2',
  inits: [],
  sidecar: undefined,
  addresses: [{ port: 80, url: 'http://127.0.0.1:20001' }],
  containers: [{ name: 'web', state: 'running', reason: '', message: '', restarts: 1, ready: true }],
};
const picture: MeshPicture = {
  id: 'abc123',
  mode: 'enforce',
  isolation: 'isolated',
  page: 'http://127.0.0.1:18000',
  inputs: ['mesh'],
  analyze: 'tulle analyze mesh',
  report: { splits: [] },
  flows: [flow],
  pods: [{ plan: { namespace: 'shop', name: 'web-0' } as PodPlan, status }],
  problems: [],
};
const render = (changes: Partial<MeshPicture>): readonly string[] =>
  renderPicture({ ...picture, ...changes }, createPaint(false), 120);

describe('renderPicture', () => {
  it('says who calls whom, by which rule, and where each pod is', () => {
    const lines = render({});
    assert.ok(lines.includes('shop/web  shop/cart:80 > cart-v1  7          allowed  shop/web-to-cart  1.3 ms'));
    assert.ok(lines.includes('shop/web-0  Ready (1 restart)  http://127.0.0.1:20001'));
  });

  it('says why a call is denied', () => {
    const denied: Flow = { ...flow, verdict: 'denied', reason: 'SourceNotAllowed', rule: '', denied: 7 };
    assert.match(render({ flows: [denied] }).join('\n'), /denied +SourceNotAllowed/);
  });

  it('takes two lines for a call where a table would lose why', () => {
    const denied: Flow = { ...flow, verdict: 'denied', reason: 'SourceNotAllowed', rule: '', denied: 7, backend: '' };
    const lines = renderPicture({ ...picture, flows: [denied] }, createPaint(false), 60);
    assert.deepEqual(lines.slice(2, 4), ['denied  shop/web > shop/cart:80', '  7 a minute  SourceNotAllowed  1.3 ms']);
  });

  it('joins a call that only the client has reported with the others of its kind', () => {
    const lines = render({ flows: [flow, { ...flow, rule: '', requests: 2, errors: 1 }] });
    assert.deepEqual(
      lines.filter((line) => line.startsWith('shop/web ')),
      ['shop/web  shop/cart:80 > cart-v1  9          allowed, 1 failed  shop/web-to-cart  1.3 ms'],
    );
  });

  it('says so when the controller does not answer', () => {
    const { id, mode, isolation, page, inputs, flows, pods, problems } = picture;
    const silent = { id, mode, isolation, page, inputs, flows, pods, problems };
    assert.ok(renderPicture(silent, createPaint(false), 120).includes('the controller does not answer yet'));
  });

  it('tells problems whole and before all else, as a terminal may have few lines', () => {
    const problem: Problem = {
      resource: { kind: 'TrafficSplit', namespace: 'shop', name: 'canary' },
      field: '/spec/backends/1/service',
      severity: 'warning',
      reason: 'BackendNotFound',
      message: 'no Service "cart-v2" in namespace "shop", so the other backends take its share',
      fix: 'create it, or correct the name',
      position: { file: 'mesh/split.yaml', line: 8, column: 18 },
    };
    const note: Problem = { ...problem, severity: 'info' };
    const lines = renderPicture({ ...picture, problems: [problem, note] }, createPaint(false), 60);
    assert.deepEqual(lines.slice(2, 9), [
      '1 problem',
      'mesh/split.yaml:8:18: warning: TrafficSplit shop/canary',
      '  /spec/backends/1/service: no Service "cart-v2" in',
      '  namespace "shop", so the other backends take its share.',
      '  Fix: create it, or correct the name. [BackendNotFound]',
      'tulle analyze mesh tells what else is likely not meant',
      '1 note on what plays no part here: see the page',
    ]);
    const many = renderPicture({ ...picture, problems: Array<Problem>(7).fill(problem) }, createPaint(false), 200);
    assert.ok(many.includes('and 2 more: see the page'));
  });

  it('never is wider than the terminal', () => {
    for (const line of renderPicture(picture, createPaint(true), 30)) assert.ok(widthOf(line) <= 30, line);
  });
});

describe('stateOf', () => {
  it('names what went wrong', () => {
    const [container] = status.containers;
    assert.ok(container);
    const crashed = {
      ...container,
      ready: false,
      state: 'terminated' as const,
      reason: 'CrashLoopBackOff',
      restarts: 3,
    };
    assert.equal(stateOf({ ...status, ready: false, containers: [crashed] }), 'CrashLoopBackOff (3 restarts)');
  });
});

describe('stateOf a Job', () => {
  it('is that of its containers, not of the sidecar that is ended after them', () => {
    const [container] = status.containers;
    assert.ok(container);
    const done = { ...container, ready: false, state: 'terminated' as const, reason: 'Completed', restarts: 0 };
    const job: PodStatus = { ...status, phase: 'Succeeded', ready: false, containers: [done] };
    assert.equal(stateOf({ ...job, sidecar: { ...done, name: 'sidecar', reason: 'Error' } }), 'Succeeded');
  });
});

describe('toTable', () => {
  it('aligns by what is seen, colours or not', () => {
    const { good } = createPaint(true);
    assert.deepEqual(
      toTable([
        [good('ab'), 'c'],
        ['d', 'e'],
      ]),
      [`${good('ab')}  c`, 'd   e'],
    );
  });

  it('breaks a text at its blanks', () => {
    assert.deepEqual(wrap('one two three', 8), ['one two', '  three']);
    assert.deepEqual(wrap('much-too-long a b', 5), ['much-too-long', '  a b']);
  });

  it('colours for a terminal alone, and not where NO_COLOR is set to something', () => {
    const isColoured = (isTTY: boolean, noColor: string | undefined): boolean =>
      paintFor({ stdout: { write: () => true, isTTY }, env: { NO_COLOR: noColor } }).good('x') !== 'x';
    assert.deepEqual(
      [isColoured(true, undefined), isColoured(true, ''), isColoured(true, '1'), isColoured(false, undefined)],
      [true, true, false, false],
    );
  });

  it('ends a colour that it cuts', () => {
    const { bad } = createPaint(true);
    assert.equal(cut(bad('abcdef'), 4), '\u001b[31mabc…\u001b[0m');
  });
});
