import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { listenPlain } from './ports.ts';

describe('the plain ports of a control plane', () => {
  it('answer the newest who comes, however many hold on to what they began', async () => {
    const server = await listenPlain((_request, response) => response.end('well'), 0, 'loopback');
    const held: Socket[] = [];
    try {
      for (let i = 0; i < 300; i += 1) {
        const socket = connect(server.port, '127.0.0.1');
        socket.on('error', () => undefined);
        held.push(socket);
        await once(socket, 'connect');
        socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(1000)}`);
      }
      const answer = await fetch(`http://127.0.0.1:${server.port}/`);
      assert.equal(await answer.text(), 'well');
      for (const socket of held.slice(0, 100)) if (!socket.destroyed) await once(socket.resume(), 'close');
      assert.equal(held.at(-1)?.destroyed, false);
    } finally {
      for (const socket of held) socket.destroy();
      await server.close();
    }
  });

  it('refuse a head that is larger than any of theirs', async () => {
    const server = await listenPlain((_request, response) => response.end(), 0, 'everywhere');
    try {
      const headers = { x: 'x'.repeat(10_000) };
      assert.equal((await fetch(`http://127.0.0.1:${server.port}/`, { headers })).status, 431);
    } finally {
      await server.close();
    }
  });
});
