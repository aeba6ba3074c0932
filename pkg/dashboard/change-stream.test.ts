import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { type ChangeStream, createChangeStream } from './change-stream.ts';

describe('the stream of changes', () => {
  let end: AbortController;
  let changes: ChangeStream;
  let server: Server;
  let churn: NodeJS.Timeout | undefined;

  beforeEach(async () => {
    end = new AbortController();
    changes = createChangeStream(end.signal);
    server = createServer(express().get('/', (request, response) => changes.serve(request, response)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => {
    clearInterval(churn);
    end.abort();
    server.closeAllConnections();
    server.close();
  });

  /** Gives the parts of one event after the other. */
  async function open(): Promise<() => Promise<string>> {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    return async () => {
      for (;;) {
        const [whole, parts = ''] = /data: .*"parts":\[(.*?)\]\}\n\n/.exec(text) ?? [];
        if (whole !== undefined) {
          text = text.slice(text.indexOf(whole) + whole.length);
          return parts;
        }
        const { value, done } = await reader.read();
        if (done) throw new Error(`the stream ended: ${text}`);
        text += value;
      }
    };
  }

  it('goes on while the mesh does not stop changing', async () => {
    const next = await open();
    churn = setInterval(() => changes.notify('mesh'), 5);
    assert.equal(await next(), '"mesh"');
    assert.equal(await next(), '"mesh"');
  });

  it('takes traffic along with a change of the mesh, and tells of it once', async () => {
    const next = await open();
    changes.notify('traffic');
    changes.notify('mesh');
    changes.notify('traffic');
    assert.equal(await next(), '"traffic","mesh"');
    changes.notify('traffic');
    assert.equal(await next(), '"traffic"');
  });

  it('tells of a mesh that goes on changing ten times a second at most', async () => {
    const next = await open();
    const start = performance.now();
    churn = setInterval(() => changes.notify('mesh'), 1);
    for (let events = 0; events < 4; events++) await next();
    assert.ok(performance.now() - start > 250);
  });
});
