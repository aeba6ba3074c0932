import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import fc from 'fast-check';
import { silentLogger } from '../../observability/logger.ts';
import { sendJson, sendStatus, startFakeApiServer } from './fake-api-server.fixture.ts';
import { createHurriedClock, createLookout } from './fake-time.fixture.ts';
import type { Change } from './reflected.ts';
import { runReflector } from './reflector.ts';

const path = '/api/v1/things';
const names = ['a', 'b', 'c', 'd'];

type Step =
  | { readonly do: 'apply'; readonly name: string; readonly color: number }
  | { readonly do: 'remove'; readonly name: string; readonly silently: boolean }
  | { readonly do: 'break'; readonly how: 'end' | 'reset' }
  | { readonly do: 'send'; readonly text: string }
  | { readonly do: 'forget'; readonly how: 'status' | 'event' }
  | { readonly do: 'fail'; readonly status: number; readonly times: number }
  | { readonly do: 'lie' | 'stall' | 'bookmark' | 'yield' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('apply'), name: fc.constantFrom(...names), color: fc.nat(3) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('remove'), name: fc.constantFrom(...names), silently: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('break'), how: fc.constantFrom('end', 'reset') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('send'),
      text: fc.constantFrom('{"type":"ADDED","obj', 'x\n', '\n', '{}\n', '{"type":"ERROR","object":{"code":500}}\n'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('forget'), how: fc.constantFrom('status', 'event') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fail'),
      status: fc.constantFrom(401, 403, 410, 429, 500, 503),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('lie', 'stall', 'bookmark', 'yield') }) },
);

describe('runReflector, whatever happens', () => {
  it('ends with what there is, told as one chain of changes', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), follow), { numRuns: 60 });
  }).timeout(120_000);
});

async function follow(steps: readonly Step[]): Promise<void> {
  const server = await startFakeApiServer();
  server.install('', ['v1'], 'Thing', 'things');
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const clock = createHurriedClock();
  const lookout = createLookout();
  /** What somebody knows who hears the changes only. */
  const heard = new Map<string, { readonly uid: string; readonly color: unknown }>();
  const onChange = (changes: readonly Change<{ color: unknown }>[]): void => {
    for (const { before, after } of changes) {
      const name = (before ?? after)?.name ?? '';
      assert.deepEqual(
        heard.get(name),
        before && { uid: before.uid, color: before.value.color },
        'a change was not told',
      );
      if (after) heard.set(name, { uid: after.uid, color: after.value.color });
      else heard.delete(name);
    }
    setImmediate(lookout.look);
  };
  const reflector = runReflector<{ color: unknown }>({
    cluster: server.cluster,
    resource: {
      name: 'things',
      kind: 'Thing',
      locate: () => Promise.resolve({ path, apiVersion: 'v1', kind: 'Thing' }),
      trim: (raw) => ({ color: raw['color'] }),
    },
    onChange,
    onStatus: () => setImmediate(lookout.look),
    signal: stop.signal,
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  const thing = (name: string, color: number): Parameters<typeof server.apply>[1] => ({
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: { name, namespace: 'shop' },
    color,
  });
  const has = (name: string): boolean => server.list('things').some(({ metadata }) => metadata.name === name);
  let isTold = true;

  for (const each of steps) {
    switch (each.do) {
      case 'apply':
        server.apply('things', thing(each.name, each.color));
        break;
      case 'remove':
        if (!has(each.name)) break;
        server.remove('things', `shop/${each.name}`, { silently: each.silently });
        // Nobody is told of it, ever, unless history is forgotten, too.
        if (each.silently) isTold = false;
        break;
      case 'break':
        server.breakWatches('things', each.how);
        break;
      case 'send':
        server.sendRaw('things', each.text);
        break;
      case 'forget':
        server.forgetHistory(each.how);
        break;
      case 'fail':
        server.interpose(path, (_, response) => sendStatus(response, each.status, '', 'no'), each.times);
        break;
      case 'lie':
        server.interpose(path, (_, response) => sendJson(response, 200, { metadata: {} }));
        break;
      case 'stall':
        server.stallWatches('things');
        clock.endLongWaits();
        break;
      case 'bookmark':
        if (isTold) server.bookmark('things');
        break;
      case 'yield':
        await new Promise((resolve) => setImmediate(resolve));
    }
  }
  // The end of it: what was not told is found by listing, as a server that lost its history makes everybody do.
  server.forgetHistory('event');
  server.breakWatches('things', 'reset');
  server.apply('things', thing('last', 1));
  await lookout.until(() => reflector.items.has('shop/last'));

  const expected = server.list('things').map(({ metadata, color }) => [metadata.name, { uid: metadata['uid'], color }]);
  const known = [...reflector.items.values()].map(({ name, uid, value }) => [name, { uid, color: value.color }]);
  const sorted = (list: unknown[][]): unknown[][] => list.sort(([a], [b]) => String(a).localeCompare(String(b)));
  assert.deepEqual(sorted(known), sorted(expected));
  assert.deepEqual(sorted([...heard]), sorted(expected));
  stop.abort();
  await reflector.done;
  await server.close();
}
