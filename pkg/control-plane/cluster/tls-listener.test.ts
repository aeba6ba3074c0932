import assert from 'node:assert/strict';
import { request } from 'node:https';
import { createConnection, type Socket } from 'node:net';
import { openAuthority } from '../../certs/authority.ts';
import { systemClock } from '../../certs/clock.ts';
import { type LeafCertificates, openLeafCertificates } from '../../certs/leaf-certificates.ts';
import { createMemoryStore } from '../../certs/file-store.ts';
import { toLeafNames } from '../../certs/workload-names.ts';
import { createLogger } from '../../observability/logger.ts';
import { listenTls, type TlsListener } from './tls-listener.ts';

describe('HTTPS of the control plane', function () {
  this.timeout(20_000);
  let listener: TlsListener;
  let leaves: LeafCertificates;
  let ca: string;
  const lines: Record<string, unknown>[] = [];
  const sockets: Socket[] = [];
  const answers: (() => void)[] = [];

  before(async () => {
    const authority = await openAuthority({ store: createMemoryStore(), clock: systemClock, name: 'cluster.local' });
    ca = authority.bundle();
    leaves = await openLeafCertificates({
      ...{ authority, clock: systemClock, random: () => 0.5, lifetime: 3_600_000, namesOf: toLeafNames },
      onError: (error) => assert.fail(String(error)),
    });
    listener = await listenTls({
      app: ({ url }, response) => {
        if (url === '/slow') answers.push(() => response.end('here'));
        else response.end('here');
      },
      port: 0,
      leaves,
      limits: { connections: 3, perAddress: 2 },
      log: createLogger({
        ...{ level: 'info', component: 'test' },
        write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
      }),
    });
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    leaves.close();
    await listener.close();
  });

  const get = (localAddress: string, path = '/'): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const { port } = listener;
      const options = { host: '127.0.0.1', port, path, localAddress, ca, servername: 'controller.tulle', agent: false };
      request(options, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
  const hold = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = createConnection({ host: '127.0.0.1', port: listener.port });
      sockets.push(socket);
      socket.on('error', () => undefined).once('connect', () => resolve(socket));
    });

  it('serves', async () => {
    assert.equal(await get('127.0.0.1'), 200);
  });

  it('has room for others when one address takes all of it', async () => {
    const held = [await hold(), await hold(), await hold()];
    const closed = new Promise((resolve) => held[0]?.once('close', resolve));
    await assert.rejects(get('127.0.0.1'), 'it has the most itself');
    assert.equal(await get('127.0.0.2'), 200);
    await closed;
    assert.ok(lines.some(({ message, from }) => message === 'HTTPS connection closed' && from === '::ffff:127.0.0.1'));
  });

  it('closes none whose request is under way', async () => {
    for (const socket of sockets) socket.destroy();
    const slow = [get('127.0.0.1', '/slow'), get('127.0.0.1', '/slow')];
    for (let i = 0; i < 400 && answers.length < 2; i++) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(answers.length, 2);
    await hold();
    await hold();
    assert.equal(await get('127.0.0.2'), 200);
    assert.equal(await get('127.0.0.3'), 200);
    for (const answer of answers) answer();
    assert.deepEqual(await Promise.all(slow), [200, 200]);
  });
});
