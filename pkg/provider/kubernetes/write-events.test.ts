import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { type LogFields, type Logger, silentLogger } from '../../observability/logger.ts';
import type { Problem } from '../../problem/problem.ts';
import { createFakeClock, type FakeClock } from '../../../test/support/fake-clock.ts';
import { type FakeApiServer, type FakeObject, sendStatus, startFakeApiServer } from './fake-api-server.fixture.ts';
import { type EventWriter, runEventWriter } from './write-events.ts';

const minute = 60_000;

function problem(name: string, more: Partial<Problem> = {}): Problem {
  return {
    resource: { apiVersion: 'split.smi-spec.io/v1alpha2', kind: 'TrafficSplit', namespace: 'shop', name },
    field: '/spec/backends/0/service',
    severity: 'error',
    reason: 'BackendNotFound',
    message: `no Service "${name}-v2"`,
    fix: 'create it',
    ...more,
  };
}

describe('runEventWriter', () => {
  let server: FakeApiServer;
  let clock: FakeClock;
  let stop: AbortController;
  let writer: EventWriter;
  let generation: number;
  let warnings: (LogFields | undefined)[];

  beforeEach(async () => {
    server = await startFakeApiServer();
    server.install('', ['v1'], 'Event', 'events');
    clock = createFakeClock();
    stop = new AbortController();
    setMaxListeners(0, stop.signal);
    generation = 1;
    warnings = [];
    writer = start();
  });

  afterEach(async () => {
    stop.abort();
    await writer.done;
    await server.close();
  });

  function start(): EventWriter {
    const log: Logger = { ...silentLogger, warn: (_, fields) => void warnings.push(fields) };
    return runEventWriter({
      cluster: server.cluster,
      findObject: ({ name, apiVersion = '' }) =>
        name.startsWith('gone') ? undefined : { uid: `${name}-${generation}`, apiVersion },
      instance: 'tulle-controller-abc',
      signal: stop.signal,
      clock,
      log,
    });
  }

  /** Everything is written when the writer waits for its time. */
  async function written(requests: number): Promise<readonly FakeObject[]> {
    while (server.requests.length < requests || clock.waiting === 0)
      await new Promise((resolve) => setImmediate(resolve));
    assert.equal(server.requests.length, requests);
    return server.list('events');
  }

  it('puts an Event on each object, that says what, where and what to do', async () => {
    writer.report([problem('cart'), problem('gone')]);
    const [event, ...more] = await written(1);
    assert.deepEqual(more, []);
    assert.match(event?.metadata.name ?? '', /^cart\.[0-9a-f]{16}$/);
    assert.deepEqual(
      { ...event, metadata: undefined },
      {
        metadata: undefined,
        apiVersion: 'v1',
        kind: 'Event',
        involvedObject: {
          apiVersion: 'split.smi-spec.io/v1alpha2',
          kind: 'TrafficSplit',
          namespace: 'shop',
          name: 'cart',
          uid: 'cart-1',
          fieldPath: '/spec/backends/0/service',
        },
        type: 'Warning',
        reason: 'BackendNotFound',
        message: '/spec/backends/0/service: no Service "cart-v2". Fix: create it',
        source: { component: 'tulle-controller' },
        reportingComponent: 'tulle-controller',
        reportingInstance: 'tulle-controller-abc',
        firstTimestamp: '2026-11-21T12:00:00Z',
        lastTimestamp: '2026-11-21T12:00:00Z',
        count: 1,
      },
    );
  });

  it('writes one Event per object, reason and field, however often they are reported', async () => {
    const problems = [
      problem('cart'),
      problem('cart', { field: '/spec/service' }),
      problem('cart', { reason: 'RootNotFound' }),
    ];
    for (let i = 0; i < 50; i++) writer.report([...problems, ...problems]);
    await written(3);
    for (let i = 0; i < 50; i++) writer.report(problems);
    assert.equal((await written(3)).length, 3);
  });

  it('counts up while a problem lasts, and says nothing more when it is gone', async () => {
    writer.report([problem('cart'), problem('web')]);
    await written(2);
    writer.report([problem('cart')]);
    clock.advance(41 * minute);
    const events = await written(3);
    assert.deepEqual(
      events.map(({ count, lastTimestamp }) => [count, lastTimestamp]),
      [
        [2, '2026-11-21T12:41:00Z'],
        [1, '2026-11-21T12:00:00Z'],
      ],
    );
    writer.report([]);
    clock.advance(24 * 60 * minute);
    assert.equal(server.requests.length, 3);
  });

  it('tells a new message, and a problem that comes back, after a minute', async () => {
    writer.report([problem('cart')]);
    await written(1);
    writer.report([problem('cart', { message: 'another' })]);
    await written(1);
    clock.advance(minute);
    assert.match(String((await written(2))[0]?.['message']), /another/);
    writer.report([]);
    writer.report([problem('cart', { message: 'another' })]);
    await written(2);
    clock.advance(minute);
    await written(3);
  });

  it('tells of an object that was made anew at once, in an Event of its own', async () => {
    writer.report([problem('cart')]);
    await written(1);
    generation = 2;
    writer.report([problem('cart')]);
    assert.equal((await written(2)).length, 2);
  });

  it('goes on with the Events of the replica before', async () => {
    writer.report([problem('cart')]);
    await written(1);
    stop.abort();
    await writer.done;
    stop = new AbortController();
    writer = start();
    clock.advance(minute);
    writer.report([problem('cart')]);
    const events = await written(3);
    assert.deepEqual(
      events.map(({ count, lastTimestamp }) => [count, lastTimestamp]),
      [[1, '2026-11-21T12:01:00Z']],
    );
    clock.advance(41 * minute);
    assert.equal((await written(4))[0]?.['count'], 2);
  });

  it('makes an Event again that has expired', async () => {
    writer.report([problem('cart')]);
    const [event] = await written(1);
    server.remove('events', `shop/${event?.metadata.name}`);
    clock.advance(41 * minute);
    assert.deepEqual(
      (await written(3)).map(({ count }) => count),
      [2],
    );
  });

  it('writes two a second at most, after a first burst', async () => {
    writer.report(Array.from({ length: 500 }, (_, i) => problem(`s${i}`)));
    await written(120);
    clock.advance(minute / 2);
    await written(180);
    clock.advance(10 * minute);
    assert.equal((await written(300)).length, 300, 'what was not spent was saved up beyond a minute');
  });

  it('stops for no error, warns once, and tries again', async () => {
    const path = '/api/v1/namespaces/shop/events';
    server.interpose(path, (_, response) => sendStatus(response, 403, 'Forbidden', 'events is forbidden'), 2);
    writer.report([problem('cart'), problem('web')]);
    await written(2);
    assert.equal(warnings.length, 1);
    clock.advance(minute);
    assert.equal((await written(4)).length, 2);
  });

  it('puts Events of what has no namespace into default', async () => {
    writer.report([
      problem('shop', {
        resource: { apiVersion: 'v1', kind: 'Namespace', namespace: '', name: 'shop' },
        severity: 'info',
      }),
    ]);
    const [event] = await written(1);
    assert.equal(event?.metadata.namespace, 'default');
    assert.equal(event.type, 'Normal');
  });
});
