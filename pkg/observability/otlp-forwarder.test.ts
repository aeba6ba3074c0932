import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createOtlpForwarder } from './otlp-forwarder.ts';

describe('the OTLP forwarder', () => {
  let server: Server;
  let url: string;
  const { signal } = new AbortController();

  beforeEach(async () => {
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(() => void server.close());

  it('sends requests on as they came, in order', async () => {
    const got: string[] = [];
    const all = new Promise<void>((resolve) => {
      server.on('request', (request, response) => {
        request.on('data', (data: Buffer) =>
          got.push(`${request.url} ${request.headers['content-type']} ${data.toString()}`),
        );
        request.on('end', () => {
          response.end();
          if (got.length === 2) resolve();
        });
      });
    });
    const forwarder = createOtlpForwarder({ url, signal });
    forwarder.send(Buffer.from('1'), 'application/json');
    forwarder.send(Buffer.from('2'), 'application/x-protobuf');
    await all;

    assert.deepEqual(got, ['/v1/traces application/json 1', '/v1/traces application/x-protobuf 2']);
  });

  it('drops the oldest beyond its bound, and tells', async () => {
    const lost: string[] = [];
    const forwarder = createOtlpForwarder({ url, signal, maxQueued: 1, onLost: (reason) => lost.push(reason) });
    for (const body of ['1', '2', '3']) forwarder.send(Buffer.from(body), 'application/json');
    const [, response] = (await once(server, 'request')) as [unknown, { end(): void }];
    response.end();

    assert.equal(lost.length, 1);
  });

  it('tells when the collector refuses', async () => {
    server.on('request', (_request, response) => void response.writeHead(500).end());
    const reason = await new Promise<string>((resolve) => {
      createOtlpForwarder({ url, signal, onLost: resolve }).send(Buffer.from('1'), 'application/json');
    });
    assert.match(reason, /answered 500$/);
  });
});
