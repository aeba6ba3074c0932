import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { toDenial } from './denial.ts';

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
