import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toEncodedResource, toResourceView } from './encode.ts';
import { toOverlay } from './overlay-view.ts';
import { createResponseEncoder } from './response-encoder.ts';
import type { ResourceView } from './resources.ts';

const toView = (content: Readonly<Record<string, number>>): ResourceView =>
  toResourceView(
    Object.entries(content).map(([name, value]) => toEncodedResource(name, 'test', Buffer.from(String(value)))),
  );
const content = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat({ max: 2 }));

describe('one view over another', () => {
  it('holds what a copy of both would hold', () => {
    fc.assert(
      fc.property(content, content, (under, over) => {
        const { resources } = toOverlay(toView(under), toView(over));
        const copy = toView({ ...under, ...over }).resources;
        assert.equal(resources.size, copy.size);
        assert.deepEqual([...resources.keys()].sort(), [...copy.keys()].sort());
        for (const [name, { version }] of copy) assert.equal(resources.get(name)?.version, version);
      }),
    );
  });

  it('differs from another by what copies would differ in', () => {
    fc.assert(
      fc.property(content, content, content, content, (under1, over1, under2, over2) => {
        const encoder = createResponseEncoder();
        const found = encoder.diff(toOverlay(toView(under1), toView(over1)), toOverlay(toView(under2), toView(over2)));
        const wanted = encoder.diff(toView({ ...under1, ...over1 }), toView({ ...under2, ...over2 }));
        const namesOf = (each: typeof found): object => ({
          changed: each.changed.map(({ name, version }) => `${name} ${version}`).sort(),
          removed: [...each.removed].sort(),
        });
        assert.deepEqual(namesOf(found), namesOf(wanted));
      }),
    );
  });

  it('is the same object for the same pair', () => {
    const [under, over] = [toView({ a: 1 }), toView({ b: 1 })];
    assert.equal(toOverlay(under, over), toOverlay(under, over));
    assert.equal(toOverlay(under, toView({})), under);
  });
});
