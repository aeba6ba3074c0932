import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { type Logger, silentLogger } from '../../observability/logger.ts';
import type { JsonObject } from '../../smi/reader.ts';
import {
  type FakeApiServer,
  type FakeObject,
  sendJson,
  sendStatus,
  startFakeApiServer,
} from './fake-api-server.fixture.ts';
import { createHurriedClock, createLookout, type HurriedClock } from './fake-time.fixture.ts';
import type { Change, Reflector } from './reflected.ts';
import { runReflector } from './reflector.ts';

interface Thing {
  readonly color: unknown;
}

interface Running {
  readonly reflector: Reflector<Thing>;
  readonly clock: HurriedClock;
  /** Each call of `onChange`. */
  readonly told: (readonly Change<Thing>[])[];
  readonly until: (holds: () => boolean) => Promise<void>;
  readonly colorOf: (key: string) => unknown;
  names(): readonly string[];
  /** What an operator sees. */
  readonly logged: readonly string[];
  failures(): Readonly<Record<string, number>>;
}

const path = '/api/v1/things';

function thing(name: string, color: unknown, namespace = 'shop'): FakeObject {
  return { apiVersion: 'v1', kind: 'Thing', metadata: { name, namespace }, spec: { color }, status: { noise: 1 } };
}

describe('runReflector', () => {
  let server: FakeApiServer;
  let stop: AbortController;
  let running: Running | undefined;

  beforeEach(async () => {
    server = await startFakeApiServer();
    server.install('', ['v1'], 'Thing', 'things');
    stop = new AbortController();
    setMaxListeners(0, stop.signal);
  });

  afterEach(async () => {
    stop.abort();
    await running?.reflector.done;
    running = undefined;
    await server.close();
  });

  function start(locate = (): Promise<typeof at | undefined> => Promise.resolve(at)): Running {
    const clock = createHurriedClock();
    const lookout = createLookout();
    const told: (readonly Change<Thing>[])[] = [];
    const logged: string[] = [];
    const log: Logger = {
      ...silentLogger,
      info: (message) => void logged.push(`info ${message}`),
      warn: (_, fields) => void logged.push(`warn ${String(fields?.['reason'])}`),
      with: () => log,
    };
    const reflector = runReflector<Thing>({
      cluster: server.cluster,
      resource: {
        name: 'things',
        kind: 'Thing',
        locate,
        trim: (raw) => ({ color: (raw['spec'] as JsonObject)['color'] }),
      },
      onChange: (changes) => {
        told.push(changes);
        setImmediate(lookout.look);
      },
      onStatus: () => setImmediate(lookout.look),
      signal: stop.signal,
      clock,
      random: () => 0.5,
      log,
    });
    running = {
      reflector,
      clock,
      told,
      logged,
      until: lookout.until,
      colorOf: (key) => reflector.items.get(key)?.value.color,
      names: () => [...reflector.items.values()].map(({ name }) => name).sort(),
      failures: () => Object.fromEntries(reflector.status().failures),
    };
    return running;
  }
  const at = { path, apiVersion: 'v1', kind: 'Thing' };

  /** Changes one thing and waits for it, which shows that watching goes on. */
  async function assertFollows({ until, colorOf }: Running, color: string): Promise<void> {
    server.apply('things', thing('probe', color));
    await until(() => colorOf('shop/probe') === color);
  }

  const watches = (): number => server.requests.filter(({ query }) => query.has('watch')).length;
  const lists = (): number => server.requests.length - watches();

  it('reads page by page, tells everything at once, and watches from there', async () => {
    for (let i = 0; i < 1201; i++) server.apply('things', thing(`thing-${i}`, 'red'));
    const run = start();
    await run.until(() => run.reflector.status().phase === 'watching');
    assert.equal(run.told.length, 1);
    assert.equal(run.told[0]?.length, 1201);
    assert.equal(run.reflector.items.size, 1201);
    assert.deepEqual(
      server.requests.filter(({ query }) => !query.has('watch')).map(({ query }) => query.get('limit')),
      ['500', '500', '500'],
    );
    await assertFollows(run, 'blue');
    const watch = server.requests.at(-1)?.query;
    assert.equal(watch?.get('allowWatchBookmarks'), 'true');
    assert.equal(watch?.get('timeoutSeconds'), '360');
  });

  it('tells of each addition, change and deletion', async () => {
    const run = start();
    await server.watched('things');
    server.apply('things', thing('a', 'red'));
    server.apply('things', thing('a', 'blue'));
    server.remove('things', 'shop/a');
    await run.until(() => run.told.length === 3);
    assert.deepEqual(
      run.told.flat().map(({ before, after }) => [before?.value.color, after?.value.color]),
      [
        [undefined, 'red'],
        ['red', 'blue'],
        ['blue', undefined],
      ],
    );
  });

  it('keeps nothing but what is asked for, and the same reference while that does not change', async () => {
    server.apply('things', thing('a', ['red']));
    const run = start();
    await server.watched('things');
    const before = run.reflector.items.get('shop/a');
    assert.deepEqual(before?.value, { color: ['red'] });
    server.apply('things', { ...thing('a', ['red']), status: { noise: 2 } });
    await assertFollows(run, 'x');
    assert.equal(run.reflector.items.get('shop/a'), before);
    assert.equal(run.told.length, 2, 'a change of what is not kept was told');
    server.forgetHistory('status');
    server.breakWatches('things', 'reset');
    await run.until(() => lists() === 2 && run.reflector.status().phase === 'watching');
    assert.equal(run.reflector.items.get('shop/a'), before);
  });

  it('goes on from where it was when the server ends a watch, and when the network does', async () => {
    const run = start();
    await server.watched('things');
    for (const how of ['end', 'reset', 'end', 'reset'] as const) {
      server.breakWatches('things', how);
      await assertFollows(run, `${how}${watches()}`);
    }
    assert.equal(lists(), 1, 'it listed again');
    assert.equal(run.failures()['Unreachable'], 2);
  });

  it('waits longer and longer, with jitter, while watches fail at once, and not at all after one that lasted', async () => {
    const run = start();
    await server.watched('things');
    server.interpose(path, (_, response) => response.socket?.resetAndDestroy(), 20);
    server.breakWatches('things', 'reset');
    const { delays } = run.clock;
    await run.until(() => delays.at(-1) === 30_000);
    await server.watched('things');
    assert.equal(delays[0], 1000);
    assert.ok(
      delays.every((delay, i) => delay >= (delays[i - 1] ?? 500) && delay <= 30_000),
      delays.join(' '),
    );
    run.clock.pass(60_000);
    const before = delays.length;
    server.breakWatches('things', 'reset');
    await assertFollows(run, 'x');
    assert.equal(delays.length, before, 'it waited after a good watch');
  });

  it('takes up what a line cut in half would have said', async () => {
    const run = start();
    await server.watched('things');
    for (const how of ['end', 'reset'] as const) {
      server.sendRaw('things', '{"type":"ADDED","object":{"metadata":{"name":"gho');
      server.breakWatches('things', how);
      await assertFollows(run, how);
    }
    assert.deepEqual(run.names(), ['probe']);
    assert.equal(lists(), 1);
  });

  for (const how of ['status', 'event'] as const) {
    it(`lists anew when history is forgotten (410 as ${how}), and tells only what differs`, async () => {
      server.apply('things', thing('stays', 'red'));
      server.apply('things', thing('goes', 'red'));
      server.apply('things', thing('changes', 'red'));
      const run = start();
      await server.watched('things');
      server.stallWatches('things');
      server.remove('things', 'shop/goes', { silently: true });
      server.apply('things', thing('changes', 'blue'));
      server.apply('things', thing('comes', 'red'));
      server.forgetHistory(how);
      server.breakWatches('things', 'reset');
      await run.until(() => run.told.length === 2);
      const told = run.told[1]?.map(({ before, after }) => [before?.name ?? after?.name, after?.value.color]);
      assert.deepEqual(
        new Map(told as [string, unknown][]),
        new Map(Object.entries({ goes: undefined, changes: 'blue', comes: 'red' })),
      );
      assert.equal(run.failures()['Expired'], 1);
      await assertFollows(run, 'x');
    });
  }

  it('follows bookmarks, so that a quiet kind need not be listed anew', async () => {
    server.apply('things', thing('a', 'red'));
    const run = start();
    await server.watched('things');
    server.forgetHistory('status');
    server.bookmark('things');
    await assertFollows(run, 'x');
    server.breakWatches('things', 'end');
    await assertFollows(run, 'y');
    assert.equal(lists(), 1);
  });

  it('gives up a watch that is silent though bookmarks should come, and goes on', async () => {
    const run = start();
    await server.watched('things');
    server.stallWatches('things');
    server.apply('things', thing('unseen', 'red'));
    await assert.doesNotReject(async () => {
      run.clock.endLongWaits();
      await run.until(() => run.colorOf('shop/unseen') === 'red');
    });
    assert.deepEqual(run.failures(), { Silent: 1 });
  });

  it('takes a name that was deleted and made again unseen as another object', async () => {
    server.apply('things', thing('pod-0', 'red'));
    const run = start();
    await server.watched('things');
    server.stallWatches('things');
    server.remove('things', 'shop/pod-0', { silently: true });
    server.apply('things', thing('pod-0', 'red'));
    server.forgetHistory('event');
    server.breakWatches('things', 'reset');
    await run.until(() => run.told.length === 2);
    const [change] = run.told[1] ?? [];
    assert.equal(change?.before?.uid, 'uid-1');
    assert.equal(change.after?.uid, 'uid-2');
    assert.equal(change.after.value, change.before.value, 'what is the same has another reference');
  });

  for (const [what, line] of [
    ['malformed JSON', '{"type":]\n'],
    ['a line that is no event', '"hello"\n'],
    ['an unknown type of event', '{"type":"EXPLODED","object":{"metadata":{"name":"x"}}}\n'],
    ['an object without a name', '{"type":"ADDED","object":{"metadata":{}}}\n'],
    ['a line without an end', 'x'.repeat(9 << 20)],
  ] as const) {
    it(`lists anew after ${what}`, async () => {
      const run = start();
      await server.watched('things');
      server.sendRaw('things', line);
      await run.until(() => lists() === 2 && run.reflector.status().phase === 'watching');
      await assertFollows(run, 'x');
      assert.ok('Malformed' in run.failures() || 'TooLarge' in run.failures());
    });
  }

  it('keeps up with a flood', async () => {
    const run = start();
    await server.watched('things');
    for (let i = 0; i < 20_000; i++) server.apply('things', thing(`thing-${i % 50}`, i));
    await run.until(() => run.colorOf('shop/thing-49') === 19_999);
    assert.equal(run.reflector.items.size, 50);
    assert.deepEqual(run.failures(), {});
  }).timeout(60_000);

  it('begins a list again whose pages expired on the way', async () => {
    for (let i = 0; i < 600; i++) server.apply('things', thing(`thing-${i}`, 'red'));
    server.interpose(path, (_, response) =>
      sendJson(response, 200, {
        metadata: { resourceVersion: '1', continue: 'stale' },
        items: [thing('ghost', 'red')],
      }),
    );
    const run = start();
    await run.until(() => run.reflector.status().synced);
    assert.equal(run.reflector.items.size, 600);
  });

  it('says once that it can not follow, however often it tries, and once that it can again', async () => {
    server.apply('things', thing('a', 'red'));
    const run = start();
    await server.watched('things');
    server.interpose(path, (_, response) => sendStatus(response, 503, 'ServiceUnavailable', 'starting'), 9);
    server.breakWatches('things', 'reset');
    await server.watched('things');
    assert.equal(run.failures()['ServiceUnavailable'], 9);
    await assertFollows(run, 'x');
    run.clock.pass(60_000);
    server.interpose(path, (_, response) => sendStatus(response, 403, 'Forbidden', 'no'), 5);
    server.breakWatches('things', 'reset');
    await server.watched('things');
    await assertFollows(run, 'y');
    assert.deepEqual(run.logged, [
      'warn ServiceUnavailable',
      'info objects of the cluster are followed again',
      'warn Forbidden',
      'info objects of the cluster are followed again',
    ]);
    assert.equal(run.reflector.status().error, undefined);
  });

  it('is not synced while it may not read, says so, and goes on when it may', async () => {
    server.interpose(path, (_, response) => sendStatus(response, 403, 'Forbidden', 'things is forbidden'), 3);
    const run = start();
    await run.until(() => run.reflector.status().error !== undefined);
    assert.equal(run.reflector.status().synced, false);
    assert.match(run.reflector.status().error?.message ?? '', /GET .*\/api\/v1\/things: things is forbidden/);
    await run.until(() => run.reflector.status().synced);
  });

  it('waits for as long as a busy server asks it to', async () => {
    server.interpose(path, (_, response) => {
      response.setHeader('retry-after', '7');
      sendStatus(response, 429, 'TooManyRequests', 'later');
    });
    const run = start();
    await run.until(() => run.reflector.status().synced);
    assert.ok(run.clock.delays.includes(7000));
  });

  it('refuses an answer that is no list, and asks again', async () => {
    server.interpose(path, (_, response) => sendJson(response, 200, { hello: 'world' }));
    server.interpose(path, (_, response) => response.end('<html>proxy</html>'));
    const run = start();
    await run.until(() => run.reflector.status().synced);
    assert.deepEqual(run.failures(), { Malformed: 2 });
  });

  it('passes over an object that can not be read, not over the others', async () => {
    server.apply('things', { ...thing('bad', 'red'), spec: undefined });
    server.apply('things', thing('good', 'red'));
    const run = start();
    await run.until(() => run.reflector.status().synced);
    assert.deepEqual(run.names(), ['good']);
  });

  it('waits for a kind to be installed, and believes that it was removed only when it is sure', async () => {
    let isThere = false;
    let asked = 0;
    const run = start(() => {
      asked += 1;
      return Promise.resolve(isThere ? at : undefined);
    });
    await run.until(() => run.reflector.status().phase === 'absent');
    assert.equal(run.reflector.status().synced, true);
    server.apply('things', thing('a', 'red'));
    isThere = true;
    await run.until(() => run.names().length === 1);
    isThere = false;
    await server.watched('things');
    const before = asked;
    server.interpose(path, (_, response) => sendStatus(response, 404, 'NotFound', 'page not found'), 1);
    server.breakWatches('things', 'end');
    await run.until(() => run.names().length === 0);
    assert.equal(asked - before, 3);
  });

  it('ends at once when it is told to', async () => {
    const { reflector } = start();
    await server.watched('things');
    stop.abort();
    await reflector.done;
    assert.equal(reflector.status().phase, 'ended');
  });
});
