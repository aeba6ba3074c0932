import assert from 'node:assert/strict';
import { Deadlines } from '../http1/proxy/deadlines.ts';
import type { Http2Connection } from '../http2/connection.ts';
import { errorCode } from '../http2/error-codes.ts';
import { Http2Stream, type StreamReader, type StreamSender } from '../http2/stream.ts';
import { Metrics } from '../observability/metrics.ts';
import { type Call, type Route, toSoleRoute } from './call.ts';
import { defaultLimits, type HttpSite } from './exchange.ts';
import { forwardHttp2, longestWait } from './http2-forward.ts';
import type { Http2Pool, Waiter } from './http2-pool.ts';
import { createInFlight } from './in-flight.ts';
import { createRecorder } from './recorder.ts';
import { RequestDeadlines } from './request-deadlines.ts';
import type { Upstream } from './upstream.ts';

const tick = 1_000;

describe('HTTP/2 that is asked again', () => {
  let clock: Deadlines;
  /** Heads that the client got. */
  let heads: (readonly string[])[];
  let attempts: Http2Stream[];
  let waiters: Waiter[];
  let connection: Http2Connection;
  let isFree: boolean;

  /** A stream whose frames go nowhere. */
  function createStream(sent: (readonly string[])[]): Http2Stream {
    const sender: StreamSender = {
      room: 65_535,
      blocked: false,
      sendHeaders: (_, fields) => sent.push(fields),
      sendData: () => undefined,
      sendReset: () => undefined,
      sendWindowUpdate: () => undefined,
      release: () => undefined,
      waits: () => undefined,
      afterFlush: (callback) => callback(),
    };
    const owner = {
      forget: () => undefined,
      crashed(_: Http2Stream, error: unknown) {
        throw error;
      },
    };
    return new Http2Stream(owner, sender, 1, 65_535, 65_535);
  }

  /** One app, whose streams are free or not as the test says. */
  function createSite(): HttpSite {
    const call: Call = {
      direction: 'outbound',
      protocol: 'http',
      source: '',
      service: 'shop/cart:80',
      verdict: 'allowed',
    };
    const route: Route = toSoleRoute({ key: 'cart' } as Upstream, false);
    const http2: Http2Pool = {
      find: () => (isFree ? connection : undefined),
      acquire: (_, waiter) => waiters.push(waiter),
      close: () => undefined,
    };
    const hex = (length: number): string => '1'.repeat(length);
    return {
      direction: 'outbound',
      blank: () => call,
      rule: () => ({ kind: 'forward', call, next: () => route, stillAllowed: () => true }),
      http2,
      recorder: createRecorder({
        metrics: new Metrics(),
        record: () => undefined,
        sampling: () => 0,
        randomHex: hex,
        now: () => 0,
      }),
      limits: defaultLimits,
      inFlight: createInFlight(),
      headerNames: () => [],
      draining: () => false,
    };
  }

  beforeEach(() => {
    clock = new Deadlines(tick);
    heads = [];
    attempts = [];
    waiters = [];
    isFree = true;
    const request = (_fields: readonly string[], _end: boolean, reader: StreamReader): Http2Stream => {
      const stream = createStream([]);
      stream.reader = reader;
      attempts.push(stream);
      return stream;
    };
    connection = { request } as unknown as Http2Connection;
    const head = { method: 'GET', scheme: 'http', authority: 'cart.shop', path: '/', fields: [], contentLength: -1 };
    const asked = { stream: createStream(heads), head, end: true, overflow: false };
    const deadlines = new RequestDeadlines(clock);
    forwardHttp2(createSite(), asked, { identity: undefined } as never, deadlines);
    assert.equal(attempts.length, 1);
  });

  function pass(millis: number): void {
    for (let i = 0; i < millis / tick; i++) clock.tick();
  }

  const statuses = (): unknown[] => heads.map((head) => head[1]);

  it('waits for a further stream no longer than for the first', () => {
    isFree = false;
    attempts[0]?.abort(errorCode.refusedStream);
    assert.equal(waiters.length, 1);
    pass(longestWait - tick);
    assert.deepEqual(statuses(), []);
    assert.equal(waiters[0]?.wanted, true);
    pass(4 * tick);
    assert.deepEqual(statuses(), ['503']);
    assert.equal(waiters[0]?.wanted, false);
  });

  it('waits for all its streams together no longer than for one', () => {
    isFree = false;
    for (let i = 0; i < 2; i++) {
      attempts[i]?.abort(errorCode.refusedStream);
      pass(longestWait / 2);
      if (i === 0) waiters[0]?.ready(connection);
    }
    pass(3 * tick);
    assert.deepEqual(statuses(), ['503']);
  });

  it('counts the wait for a stream alone, not what was spent on one that was refused late', () => {
    isFree = false;
    pass(2 * longestWait);
    attempts[0]?.abort(errorCode.refusedStream);
    pass(longestWait - tick);
    assert.deepEqual(statuses(), []);
    waiters[0]?.ready(connection);
    pass(2 * longestWait);
    attempts[1]?.reader?.headers([':status', '200'], true);
    assert.deepEqual(statuses(), ['200']);
  });
});
