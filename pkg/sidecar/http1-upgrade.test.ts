import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import { startHttpPair } from '../../test/support/http-pair.ts';
import type { HttpPair } from '../../test/support/http-pair.ts';
import { allow } from '../../test/support/sidecar-mesh.ts';

const hello =
  'GET /chat HTTP/1.1\r\nhost: cart.shop\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: a\r\n\r\n';

/** HTTP goes on when the switch is declined, unless the client wants it to end. */
const lastHello = hello.replace('connection: Upgrade', 'connection: Upgrade, close');

describe('upgrades through two sidecars', () => {
  let pair: HttpPair;
  before(async () => {
    pair = await startHttpPair();
  });
  beforeEach(() => {
    pair.app.removeAllListeners('upgrade');
    pair.server.setRules([allow([pair.client.identity])]);
  });
  after(() => pair.stop());

  function echoUpgrades(): void {
    pair.app.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      const accept = createHash('sha1').update(String(req.headers['sec-websocket-key'])).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\nfirst `,
      );
      if (head.length > 0) socket.write(head);
      socket.pipe(socket);
      socket.on('error', () => undefined);
    });
  }

  async function until(socket: Duplex, text: string): Promise<string> {
    let seen = '';
    while (!seen.includes(text)) {
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      seen += chunk.toString();
    }
    return seen;
  }

  it('passes a WebSocket, the bytes behind both heads included', async () => {
    echoUpgrades();
    const socket = pair.dial();
    socket.write(`${hello}early `);
    const answer = await until(socket, 'early');
    assert.match(answer, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(answer, /upgrade: websocket\r\n/i);
    assert.match(answer, /first early $/);
    socket.write('later');
    await until(socket, 'later');
    socket.destroy();
  });

  it('denies one that no rule allows', async () => {
    echoUpgrades();
    pair.server.setRules([allow([pair.server.identity])]);
    assert.match(await pair.send(lastHello), /^HTTP\/1\.1 403 .*x-tulle-reason: SourceNotAllowed/is);
  });

  it('ends one whose grant is gone', async () => {
    echoUpgrades();
    const socket = pair.dial();
    socket.on('error', () => undefined);
    socket.write(hello);
    await until(socket, 'first');
    const closed = new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
    pair.server.setRules([]);
    socket.resume();
    await closed;
    socket.destroy();
  });

  it('passes the refusal of an app', async () => {
    pair.app.on('upgrade', (_req: IncomingMessage, socket: Duplex) => {
      socket.end('HTTP/1.1 426 Upgrade Required\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnope');
    });
    assert.match(await pair.send(lastHello), /^HTTP\/1\.1 426 Upgrade Required\r\n.*nope$/s);
  });

  it('takes a request for h2c as the ordinary one that it is, body included', async () => {
    pair.handler = (req, res) => {
      let body = '';
      req.on('data', (chunk: Buffer) => (body += chunk.toString()));
      req.on('end', () => res.end(`plain ${body} ${req.headers.upgrade}`));
    };
    const head =
      'host: cart.shop\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n';
    const text = await pair.send(
      `POST / HTTP/1.1\r\n${head}content-length: 4\r\n\r\nbo`,
      `dyGET / HTTP/1.1\r\nhost: cart.shop\r\nconnection: close\r\n\r\n`,
    );
    assert.match(text, /plain body undefined.*plain {2}undefined/s);
  });
});
