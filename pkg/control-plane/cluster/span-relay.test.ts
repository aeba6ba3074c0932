import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { openAuthority } from '../../certs/authority.ts';
import { systemClock } from '../../certs/clock.ts';
import { createMemoryStore } from '../../certs/file-store.ts';
import { openLeafCertificates } from '../../certs/leaf-certificates.ts';
import { controllerName, toLeafNames } from '../../certs/workload-names.ts';
import { createLogger } from '../../observability/logger.ts';
import { Metrics } from '../../observability/metrics.ts';
import { decodeOtlpProtobuf, otlpMessages } from '../../observability/otlp-decode.ts';
import type { Replica } from './replicas.ts';
import { createSpanRelay, type SpanRelay } from './span-relay.ts';

const serverName = 'tulle-controller.tulle-system.svc';
const protobuf = 'application/x-protobuf';

/** An export with one span, and as much more as is asked for. */
function toExport(name: string, filler = 0): Buffer {
  const id = (length: number): Buffer => Buffer.alloc(length, 7);
  const attributes = [{ key: 'filler', value: { stringValue: 'x'.repeat(filler) } }];
  const span = { traceId: id(16), spanId: id(8), name, attributes };
  return Buffer.from(otlpMessages.request.serialize({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }));
}

describe('handing spans on to other replicas', function () {
  this.timeout(30_000);
  let server: Server | undefined;
  let end: AbortController;
  let metrics: Metrics;
  let others: Replica[];
  let renewed: number;
  const lines: string[] = [];

  /** Answers each request with the next status; `hold` lets the first wait. */
  async function listen(statuses: (number | 'reset')[] = [], hold: Promise<void> = Promise.resolve()) {
    const authority = await openAuthority({ store: createMemoryStore(), clock: systemClock, name: 'x' });
    const leaves = await openLeafCertificates({
      authority,
      clock: systemClock,
      random: () => 0.5,
      lifetime: 3_600_000,
      namesOf: (owner) => toLeafNames(owner, [serverName]),
      onError: (error) => assert.fail(String(error)),
    });
    const { certificate, privateKey } = leaves.of(controllerName);
    const got: { headers: object; names: string[] }[] = [];
    server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { authorization, 'tulle-relay': relay, host } = request.headers;
        const { spans } = decodeOtlpProtobuf(Buffer.concat(chunks));
        got.push({ headers: { authorization, relay, host }, names: spans.map(({ name }) => name) });
        const status = statuses.shift() ?? 200;
        if (status === 'reset') request.socket.destroy();
        else void hold.then(() => response.writeHead(status).end());
      });
    });
    await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done));
    others = [{ name: 'two', address: '127.0.0.1', port: (server.address() as AddressInfo).port }];
    const relay = createSpanRelay({
      replicas: { others: () => others, token: () => 'secret-of-one', renew: () => void renewed++ },
      roots: () => authority.bundle(),
      serverName,
      metrics,
      log: createLogger({ level: 'debug', component: 'test', write: (line) => lines.push(line) }),
      signal: end.signal,
      now: () => 0,
    });
    return { relay, got };
  }

  beforeEach(() => {
    end = new AbortController();
    metrics = new Metrics();
    renewed = 0;
    lines.length = 0;
  });
  afterEach(async () => {
    end.abort();
    server?.closeAllConnections();
    await new Promise((done) => server?.close(done));
  });

  async function until(line: string): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!metrics.render().includes(line)) {
      if (Date.now() > deadline) throw new Error(`never became ${line}:\n${metrics.render()}`);
      await new Promise((done) => setTimeout(done, 10));
    }
  }

  const sendAll = (relay: SpanRelay, names: readonly string[], filler = 0): void => {
    for (const name of names) relay.send(toExport(name, filler), protobuf);
  };

  it('sends what waits as one request, marked, with the token of this replica', async () => {
    const { relay, got } = await listen();
    sendAll(relay, ['a', 'b', 'c']);
    await until('tulle_otlp_relayed_total 3');
    const headers = { authorization: 'Bearer secret-of-one', relay: '1', host: serverName };
    assert.deepEqual(got, [{ headers, names: ['a', 'b', 'c'] }]);
  });

  it('tries once more after a broken connection or an error, and never a third time', async () => {
    const { relay, got } = await listen(['reset', 200, 503, 'reset', 403]);
    sendAll(relay, ['a']);
    await until('tulle_otlp_relayed_total 1');
    sendAll(relay, ['b']);
    await until('tulle_otlp_relay_lost_total{reason="failed"} 1');
    sendAll(relay, ['c']);
    await until('tulle_otlp_relay_lost_total{reason="failed"} 2');
    assert.deepEqual(got.flatMap(({ names }) => names).join(''), 'aabbc');
    assert.equal(lines.length, 1, 'one complaint a minute');
    assert.ok(!lines.join().includes('secret'));
  });

  it('has its token read again when it is refused', async () => {
    const { relay } = await listen([401]);
    sendAll(relay, ['a']);
    await until('tulle_otlp_relay_lost_total{reason="failed"} 1');
    assert.equal(renewed, 1);
  });

  it('drops the oldest beyond its bound while a replica does not answer', async () => {
    let release = (): void => undefined;
    const { relay, got } = await listen([], new Promise((done) => (release = done)));
    sendAll(relay, ['first']);
    const deadline = Date.now() + 20_000;
    while (got.length === 0 && Date.now() < deadline) await new Promise((done) => setTimeout(done, 10));
    const names = Array.from({ length: 10 }, (_, i) => `${i}`);
    sendAll(relay, names, 500_000);
    await until('tulle_otlp_relay_lost_total{reason="busy"} 2');
    release();
    await until('tulle_otlp_relayed_total 9');
    assert.deepEqual(
      got.map((request) => request.names.join('')),
      ['first', '23', '45', '67', '89'],
    );
  });

  it('costs nothing while there is no other, and forgets one that has gone', async () => {
    const { relay, got } = await listen();
    const [two = assert.fail()] = others;
    others = [];
    sendAll(relay, ['a']);
    others = [two];
    sendAll(relay, ['b']);
    await until('tulle_otlp_relayed_total 1');
    others = [];
    sendAll(relay, ['c']);
    assert.deepEqual(
      got.map(({ names }) => names),
      [['b']],
    );
  });

  it('gives nothing to somebody without a certificate of the control plane', async () => {
    const { got } = await listen();
    const [two = assert.fail()] = others;
    const authority = await openAuthority({ store: createMemoryStore(), clock: systemClock, name: 'other' });
    const relay = createSpanRelay({
      replicas: { others: () => [two], token: () => 'secret-of-one', renew: assert.fail },
      ...{ roots: () => authority.bundle(), serverName, metrics, signal: end.signal, now: () => 0 },
      log: createLogger({ level: 'debug', component: 'test', write: (line) => lines.push(line) }),
    });
    sendAll(relay, ['a']);
    await until('tulle_otlp_relay_lost_total{reason="failed"} 1');
    assert.deepEqual(got, []);
  });
});
