import assert from 'node:assert/strict';
import { decodeDeltaResponse } from './discovery.ts';
import { toEncodedResource, toResourceView } from './encode.ts';
import { createResponseEncoder, type ResponseBody } from './response-encoder.ts';

const typeUrl = 'type.googleapis.com/x';
const viewOf = (...names: string[]) =>
  toResourceView(names.map((name) => toEncodedResource(name, typeUrl, Buffer.from(name))));
const removedOf = (bodies: readonly ResponseBody[]): readonly string[] =>
  bodies.flatMap(({ bytes }) => decodeDeltaResponse(bytes).removed);

describe('bodies of responses', () => {
  it('are made once for all streams that are told the same difference', () => {
    const encoder = createResponseEncoder();
    const { changed, removed } = encoder.diff(viewOf('a', 'b'), viewOf('a', 'c'));
    const first = encoder.delta({ typeUrl, changed, removed });
    assert.equal(encoder.delta({ typeUrl, changed, removed }), first);
    const kept = encoder.delta({ typeUrl, changed, removed: [] });
    assert.equal(encoder.delta({ typeUrl, changed, removed: [] }), kept, 'removals may have to wait');
    assert.notEqual(kept, first);
  });

  it('are not remembered for names that one client has made up', () => {
    const encoder = createResponseEncoder();
    const changed = encoder.listOf(viewOf('a', 'b'));
    const first = encoder.delta({ typeUrl, changed, removed: ['made up 1'] });
    assert.notEqual(encoder.delta({ typeUrl, changed, removed: ['made up 1'] }), first);
  });

  it('say what one stream is told, whatever names another client has made up', () => {
    const encoder = createResponseEncoder();
    const { changed } = encoder.diff(viewOf('a', 'b'), viewOf('c'));
    assert.deepEqual(removedOf(encoder.delta({ typeUrl, changed, removed: ['a b'] })), ['a b']);
    assert.deepEqual(removedOf(encoder.delta({ typeUrl, changed, removed: ['a', 'b'] })), ['a', 'b']);
  });
});
