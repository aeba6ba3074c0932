import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import express from 'express';
import { otlpMessages } from './otlp-decode.ts';
import { createOtlpReceiver } from './otlp-receiver.ts';
import type { Span } from './span.ts';

const span = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  name: 'GET',
  kind: 3,
  startTimeUnixNano: '1700000000000000000',
  endTimeUnixNano: '1700000000001000000',
};

function request(...spans: object[]): object {
  return { resourceSpans: [{ scopeSpans: [{ spans }] }] };
}

describe('the OTLP receiver', () => {
  let server: Server;
  let url: string;
  let taken: Span[];

  beforeEach(async () => {
    taken = [];
    const app = express();
    app.use(createOtlpReceiver({ onSpans: (spans) => taken.push(...spans) }));
    server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
  });

  afterEach(() => void server.close());

  function post(body: string | Uint8Array, type: string, encoding?: string): Promise<Response> {
    const headers = { 'content-type': type, ...(encoding !== undefined && { 'content-encoding': encoding }) };
    return fetch(url, { method: 'POST', headers, body: body as string });
  }

  it('takes JSON', async () => {
    const response = await post(JSON.stringify(request(span)), 'application/json');

    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {});
    assert.equal(taken[0]?.traceId, span.traceId);
    assert.equal(taken[0].kind, 'client');
    assert.equal(taken[0].durationNs, 1_000_000);
  });

  it('takes of what its sender may not report nothing, and does not send it on', async () => {
    const exported: Buffer[] = [];
    const app = express();
    const mayReport = ({ name }: Span): boolean => name !== 'foreign';
    const onExport = (body: Buffer): void => void exported.push(body);
    app.use(createOtlpReceiver({ onSpans: (spans) => taken.push(...spans), onExport, mayReport }));
    const other = createServer(app);
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/v1/traces`;
    const response = await post(JSON.stringify(request(span, { ...span, name: 'foreign' })), 'application/json');
    other.close();

    const { partialSuccess } = (await response.json()) as { partialSuccess: { rejectedSpans: string } };
    assert.equal(partialSuccess.rejectedSpans, '1');
    assert.deepEqual(
      taken.map(({ name }) => name),
      ['GET'],
    );
    assert.deepEqual(exported, []);
  });

  it('takes protobuf, gzipped', async () => {
    const ids = { traceId: Buffer.from(span.traceId, 'hex'), spanId: Buffer.from(span.spanId, 'hex') };
    const body = otlpMessages.request.serialize(request({ ...span, ...ids }));
    const response = await post(gzipSync(body), 'application/x-protobuf', 'gzip');

    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'application/x-protobuf');
    assert.equal((await response.arrayBuffer()).byteLength, 0);
    assert.equal(taken[0]?.spanId, span.spanId);
    assert.equal(taken[0].startNs, 1_700_000_000_000_000_000n);
  });

  it('takes the good spans of a request and counts the bad ones', async () => {
    const body = request({ ...span, traceId: '00' }, span, { ...span, spanId: '0000000000000000' });
    const response = await post(JSON.stringify(body), 'application/json');

    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {
      partialSuccess: { rejectedSpans: '2', errorMessage: 'trace id is not 16 bytes that are not all zero' },
    });
    assert.equal(taken.length, 1);
  });

  it('refuses another content type, and an encoding that it does not know', async () => {
    assert.equal((await post('{}', 'text/plain')).status, 415);
    assert.equal((await post('{}', 'application/json', 'zstd')).status, 415);
  });

  it('refuses more than 4 MiB, also when it is small before inflating', async () => {
    const large = Buffer.alloc(5 * 1024 * 1024, 32);

    assert.equal((await post(large, 'application/json')).status, 413);
    assert.equal((await post(gzipSync(large), 'application/json', 'gzip')).status, 413);
  });

  it('refuses more spans, or parts of spans, than an export has, before it decodes them', async () => {
    const encode = (message: object): Uint8Array => gzipSync(otlpMessages.request.serialize(message));
    const many = (count: number, part: object): object[] => Array.from({ length: count }, () => part);
    const attributes = many(250_001, { key: '' });
    // In JSON a span is an object among others.
    const batches: readonly (readonly [binary: number, text: number, batch: object])[] = [
      [200, 200, request(...many(8_192, {}))],
      [413, 200, request(...many(20_001, {}))],
      [413, 413, request({ attributes })],
      [413, 413, request({ events: [{ attributes }] })],
      [413, 413, { resourceSpans: [{ resource: { attributes } }] }],
      [413, 413, request({ attributes: [{ key: 'a', value: { kvlistValue: { values: attributes } } }] })],
    ];
    for (const [binary, text, batch] of batches) {
      assert.equal((await post(encode(batch), 'application/x-protobuf', 'gzip')).status, binary);
      assert.equal((await post(gzipSync(JSON.stringify(batch)), 'application/json', 'gzip')).status, text);
    }
    assert.deepEqual(taken, []);
  });

  it('answers what it cannot decode with a status in the encoding of the request', async () => {
    const text = await post('{', 'application/json');
    assert.equal(text.status, 400);
    assert.equal(((await text.json()) as { code: number }).code, 3);

    const binary = await post(Buffer.from([0x0a, 0xff, 0xff, 0xff]), 'application/x-protobuf');
    assert.equal(binary.status, 400);
    const status = otlpMessages.status.deserialize(Buffer.from(await binary.arrayBuffer())) as { code: number };
    assert.equal(status.code, 3);
  });

  it('survives JSON of any shape', async () => {
    const shapes = [
      'null',
      '[]',
      '1',
      '{"resourceSpans":{}}',
      '{"resourceSpans":[null,{"scopeSpans":[{"spans":[7]}]}]}',
    ];
    for (const shape of shapes) {
      const { status } = await post(shape, 'application/json');
      assert.ok(status === 200 || status === 400, `${shape}: ${status}`);
    }
    const nested = `${'{"arrayValue":{"values":['.repeat(5_000)}${']}}'.repeat(5_000)}`;
    const body = `{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":${nested}}]}}]}`;
    assert.ok([200, 400].includes((await post(body, 'application/json')).status));
  });

  it('says that it wants POST', async () => {
    const response = await fetch(url);
    assert.equal(response.status, 405);
    assert.equal(response.headers.get('allow'), 'POST');
  });
});
