import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../support/free-ports.ts';

const program = join(import.meta.dirname, '..', '..', 'demo', 'bookstore', 'apps', 'bookdb.ts');

describe('the database of the demo', () => {
  let app: ChildProcess;
  let port: number;
  const sockets: Socket[] = [];

  const dial = (): Socket => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    return socket;
  };

  before(async function () {
    this.timeout(30_000);
    port = await freePort();
    app = spawn(process.execPath, ['--import', 'tsx', program], {
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(app.stdout!, 'data');
  });

  after(async () => {
    for (const socket of sockets) socket.destroy();
    if (app.exitCode === null && app.signalCode === null) {
      app.kill('SIGKILL');
      await once(app, 'exit');
    }
  });

  // A TCP probe closes without reading the greeting, which resets the connection.
  it('survives a connection that is reset', async () => {
    const rude = dial();
    await once(rude, 'data');
    rude.resetAndDestroy();
    await once(rude, 'close');

    const polite = dial();
    const lines = createInterface({ input: polite })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'bookdb 1.0 ready');
    polite.write('INSERT 2\n');
    assert.equal((await lines.next()).value, 'OK 2');
  });
});
