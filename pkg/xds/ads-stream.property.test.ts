import assert from 'node:assert/strict';
import fc from 'fast-check';
import { openStream, type ReadResponse, type StreamUnderTest } from './ads-stream.fixture.ts';
import { tulleTypes } from './resources.ts';
import { envoyTypes } from './type-traits.ts';

/** What a client has, by following the protocol. */
type Held = Map<string, string>;

type Step =
  | { readonly kind: 'change'; readonly typeUrl: string; readonly contents: Record<string, string> }
  | { readonly kind: 'answer' }
  | { readonly kind: 'subscribe' | 'unsubscribe'; readonly names: readonly string[] };

const names = ['a', 'b', 'c', 'd'];
const wildcards = [envoyTypes.cluster, envoyTypes.listener, tulleTypes.endpoints, tulleTypes.outbound];
const named = envoyTypes.endpoints;

const contents = fc.dictionary(fc.constantFrom(...names), fc.constantFrom('1', '2', '3'), { maxKeys: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('change' as const), typeUrl: fc.constantFrom(...wildcards, named), contents }),
  fc.constant({ kind: 'answer' as const }),
  fc.record({
    kind: fc.constantFrom('subscribe' as const, 'unsubscribe' as const),
    names: fc.subarray(names, { minLength: 1 }),
  }),
);

function follow(held: Map<string, Held>, { typeUrl, resources, removed }: ReadResponse): void {
  const mine = held.get(typeUrl) ?? new Map<string, string>();
  held.set(typeUrl, mine);
  for (const resource of resources) {
    const [name = '', content = ''] = resource.split('=');
    mine.set(name, content);
  }
  for (const name of removed) mine.delete(name);
}

/** Answers everything until the server has no more to say. */
function settle(test: StreamUnderTest, held: Map<string, Held>, pending: ReadResponse[]): void {
  for (let i = 0; i < 1000; i++) {
    for (const response of pending.splice(0)) test.delta({ typeUrl: response.typeUrl, nonce: response.nonce });
    const response = test.next();
    if (!response) return;
    follow(held, response);
    pending.push(response);
  }
  assert.fail('the server never stops');
}

describe('AdsStream, whatever happens', () => {
  it('leaves a delta client with exactly what the server has of what it subscribed to', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const test = openStream('delta');
        const truth = new Map<string, Record<string, string>>();
        for (const typeUrl of [...wildcards, named]) {
          truth.set(typeUrl, {});
          test.set(typeUrl, {});
        }
        for (const typeUrl of wildcards) test.delta({ typeUrl });
        const subscribed = new Set<string>();
        const held = new Map<string, Held>();
        const pending: ReadResponse[] = [];
        for (const each of steps) {
          if (each.kind === 'change') {
            truth.set(each.typeUrl, each.contents);
            test.set(each.typeUrl, each.contents);
          } else if (each.kind === 'answer') {
            const [oldest] = pending.splice(0, 1);
            if (oldest) test.delta({ typeUrl: oldest.typeUrl, nonce: oldest.nonce });
          } else if (each.kind === 'subscribe') {
            for (const name of each.names) subscribed.add(name);
            test.delta({ typeUrl: named, subscribe: each.names });
          } else {
            for (const name of each.names) {
              subscribed.delete(name);
              held.get(named)?.delete(name);
            }
            test.delta({ typeUrl: named, unsubscribe: each.names });
          }
          const response = test.next();
          if (response) {
            follow(held, response);
            pending.push(response);
          }
          const types = pending.map(({ typeUrl }) => typeUrl);
          assert.equal(new Set(types).size, types.length, 'one unanswered response per type');
        }

        settle(test, held, pending);

        for (const typeUrl of wildcards) {
          assert.deepEqual(Object.fromEntries(held.get(typeUrl) ?? []), { ...truth.get(typeUrl) }, typeUrl);
        }
        const wanted = Object.entries(truth.get(named) ?? {}).filter(([name]) => subscribed.has(name));
        const got = [...(held.get(named) ?? [])].filter(([name]) => subscribed.has(name));
        assert.deepEqual(Object.fromEntries(got), Object.fromEntries(wanted));
        assert.ok(test.stream.status().every(({ synced }) => synced));
      }),
      { numRuns: 300 },
    );
  });

  it('takes any bytes for a request without harm', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom('delta' as const, 'sotw' as const),
        (bytes, kind) => {
          try {
            openStream(kind).stream.receive(Buffer.from(bytes));
          } catch (error) {
            assert.equal((error as Error).name, 'WireError');
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
