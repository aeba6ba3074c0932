import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { toDenial, toUnavailable, withTrace } from './denial.ts';

describe('withTrace', () => {
  const trace = {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    sampled: true,
    debug: false,
  };
  const denial = toDenial('NoTarget', { source: 'shop/web', service: 'shop/cart:80' });

  it('names the trace of a denial, and what to do with it when it was recorded', () => {
    assert.match(
      withTrace(denial, trace).body,
      /:80; trace 4bf92f3577b34da6a3ce929d0e0e4736: tulle suggest --trace 4bf92f3577b34da6a3ce929d0e0e4736\n$/,
    );
    assert.match(withTrace(denial, { ...trace, sampled: false }).body, /; trace 4bf92f3577b34da6a3ce929d0e0e4736\n$/);
  });

  it('does not ask for a policy that would let a call out of the mesh', () => {
    const answer = { ...denial, reason: 'EgressDenied' as const };
    assert.match(withTrace(answer, trace).body, /; trace 4bf92f3577b34da6a3ce929d0e0e4736\n$/);
  });

  it('leaves other answers alone', () => {
    assert.deepEqual(withTrace(toUnavailable('x'), trace), toUnavailable('x'));
  });
});

describe('toDenial', () => {
  it('ends with a command that can be pasted into a shell', () => {
    const call = { source: 'shop/web', service: 'shop/cart:80' };
    assert.equal(
      toDenial('RequestNotAllowed', { ...call, method: 'GET', path: "/it's?a=$(id)" }).body,
      "RBAC: access denied\ntulle: RequestNotAllowed: shop/web -> shop/cart:80 GET /it's?a=$(id); " +
        "ask: tulle explain shop/web shop/cart:80 GET '/it%27s?a=$(id)'\n",
    );
    assert.match(toDenial('NoTarget', call).body, /ask: tulle explain shop\/web shop\/cart:80\n$/);
    assert.match(toDenial('PlaintextRefused', { ...call, source: '' }).body, /: unknown -> .* tulle explain - shop/);
  });
});
