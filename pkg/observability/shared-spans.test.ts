import assert from 'node:assert/strict';
import { createSpanSharing } from './shared-spans.ts';
import { makeSpan } from './span.fixture.ts';

describe('what spans share', () => {
  const spanOf = (span: number, attributes: Record<string, string>): ReturnType<typeof makeSpan> =>
    structuredClone(makeSpan({ trace: 1, span, service: 'shop', attributes }));

  it('is one object, and the spans say what they said', () => {
    const share = createSpanSharing();
    const [a, b] = [spanOf(1, { method: 'GET', id: '1' }), spanOf(2, { method: 'GET', id: '2' })];
    const [first, second] = [share(a), share(b)];
    assert.deepEqual([first, second], [a, b]);
    assert.equal(first.resource, second.resource);
    assert.equal(first.scope, second.scope);
    const tag = (span: typeof a, key: string): object | undefined => span.attributes.find((each) => each.key === key);
    assert.equal(tag(first, 'method'), tag(second, 'method'));
    assert.notEqual(tag(first, 'id'), tag(second, 'id'));
  });

  it('tells a number from its text, and both from another service', () => {
    const share = createSpanSharing();
    const span = spanOf(1, {});
    const one = { ...span, attributes: [{ key: 'n', type: 'string', value: '1' } as const] };
    const other = { ...span, attributes: [{ key: 'n', type: 'int64', value: '1' } as const] };
    const third = { ...span, resource: { service: 'cart', attributes: span.resource.attributes } };
    for (const each of [one, other, one, third, span]) assert.deepEqual(share(each), each);
  });

  it('does not grow with texts that are ever new', () => {
    const share = createSpanSharing();
    for (let i = 0; i < 5_000; i++) {
      const span = spanOf(i + 1, { [`key-${i}`]: `value-${i}`, same: `${i % 3}`, long: 'x'.repeat(300) });
      assert.deepEqual(share(span), span);
    }
  });
});
