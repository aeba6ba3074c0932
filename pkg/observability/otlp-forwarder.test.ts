import assert from 'node:assert/strict';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeOtlpProtobuf, otlpMessages } from './otlp-decode.ts';
import { createOtlpForwarder, type OtlpForwarder } from './otlp-forwarder.ts';

const [protobuf, json] = ['application/x-protobuf', 'application/json'];

function toExport(name: string, filler = 0): Buffer {
  const attributes = [{ key: 'filler', value: { stringValue: 'x'.repeat(filler) } }];
  const span = { traceId: Buffer.alloc(16, 7), spanId: Buffer.alloc(8, 7), name, attributes };
  return Buffer.from(otlpMessages.request.serialize({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }));
}

describe('the OTLP forwarder', () => {
  let server: Server;
  let forwarder: OtlpForwarder;
  let end: AbortController;
  let lost: number;
  let complaints: string[];
  let got: { readonly url: string; readonly type: string; readonly body: Buffer }[];
  /** Runs for each request that came whole. */
  let onRequest: (response: ServerResponse) => void;
  let wake: () => void;

  beforeEach(async () => {
    [lost, complaints, got, end] = [0, [], [], new AbortController()];
    onRequest = (response) => response.end();
    wake = () => undefined;
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        got.push({
          url: request.url ?? '',
          type: request.headers['content-type'] ?? '',
          body: Buffer.concat(chunks),
        });
        onRequest(response);
        wake();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    forwarder = createOtlpForwarder({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      signal: end.signal,
      onLost: (exports) => (lost += exports),
      onComplaint: (why) => {
        complaints.push(why);
        wake();
      },
    });
  });
  afterEach(() => {
    end.abort();
    server.closeAllConnections();
    server.close();
  });

  async function until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => (wake = resolve));
  }

  const names = (): string[] =>
    got
      .filter(({ type }) => type === protobuf)
      .flatMap(({ body }) => decodeOtlpProtobuf(body).spans.map((span) => span.name));

  it('sends on what came, in order: protobuf together, JSON as it is', async () => {
    for (const name of ['a', 'b']) forwarder.send(toExport(name), protobuf);
    for (const name of ['c', 'd']) forwarder.send(Buffer.from(name), json);
    await until(() => got.length === 3);
    const [first, ...others] = got;
    assert.deepEqual([first?.url, first?.type, names()], ['/v1/traces', protobuf, ['a', 'b']]);
    assert.deepEqual(
      others.map(({ type, body }) => `${type} ${body.toString()}`),
      [`${json} c`, `${json} d`],
    );
  });

  for (const type of [protobuf, json]) {
    it(`loses nothing to a collector that takes its time, of a thousand exports at once (${type})`, async () => {
      onRequest = (response) => void setTimeout(() => response.end(), 1);
      const sent = Array.from({ length: 1_035 }, (_, i) => `${i}`);
      for (const name of sent) forwarder.send(type === json ? Buffer.from(name) : toExport(name), type);
      await until(() => (type === json ? got.length : names().length) === sent.length);
      const arrived = type === json ? got.map(({ body }) => body.toString()) : names();
      assert.deepEqual(arrived.sort(), sent.sort());
      assert.equal(lost, 0);
    }).timeout(60_000);
  }

  it('keeps no more bytes than it may while the collector hangs: the oldest go, and are counted', async () => {
    const held: ServerResponse[] = [];
    onRequest = (response) => void held.push(response);
    forwarder.send(toExport('first'), protobuf);
    await until(() => got.length === 1);
    for (let i = 0; i < 12; i++) forwarder.send(toExport(`${i}`, 1_000_000), protobuf);
    assert.equal(lost, 8);
    onRequest = (response) => response.end();
    for (const response of held) response.end();
    await until(() => names().length === 5);
    assert.deepEqual(names(), ['first', '8', '9', '10', '11']);
    assert.equal(complaints.length, 1);
  });

  it('tells once when the collector refuses, and counts each export', async () => {
    onRequest = (response) => void response.writeHead(400).end();
    for (const name of ['a', 'b']) forwarder.send(Buffer.from(name), json);
    await until(() => got.length === 2 && complaints.length > 0);
    forwarder.send(Buffer.from('c'), json);
    await until(() => got.length === 3);
    assert.match(complaints.join(), /^127\.0\.0\.1:\d+: it answered 400$/);
    assert.ok(lost >= 2);
  });

  it('tries once more when the collector is not well', async () => {
    onRequest = (response) => {
      onRequest = (next) => next.end();
      response.writeHead(503).end();
    };
    forwarder.send(toExport('a'), protobuf);
    await until(() => got.length === 2);
    assert.deepEqual([names(), lost], [['a', 'a'], 0]);
  });

  it('says why a collector is not reached', async () => {
    server.close();
    forwarder.send(toExport('a'), protobuf);
    await until(() => complaints.length > 0);
    assert.match(complaints.join(), /^127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    assert.equal(lost, 1);
  });
});
