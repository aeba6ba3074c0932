import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { connectDatabase } from '../../demo/bookstore/apps/database-client.ts';

describe('the client of the database of the demo', () => {
  let server: Server;
  let connections = 0;
  let latest: Socket;
  const was = { host: process.env['BOOKDB_SERVICE_HOST'], port: process.env['BOOKDB_SERVICE_PORT'] };

  before(async () => {
    server = createServer((socket) => {
      connections += 1;
      latest = socket;
      socket.on('error', () => socket.destroy());
      socket.on('data', () => socket.write(`OK ${connections}\n`));
      socket.write('bookdb 1.0 ready\n');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    process.env['BOOKDB_SERVICE_HOST'] = '127.0.0.1';
    process.env['BOOKDB_SERVICE_PORT'] = String((server.address() as AddressInfo).port);
  });

  after(() => {
    restore('BOOKDB_SERVICE_HOST', was.host);
    restore('BOOKDB_SERVICE_PORT', was.port);
    latest.destroy();
    server.close();
  });

  it('goes on with a new connection after a reset', async () => {
    const database = connectDatabase();
    assert.equal(await database.insert(1), 1);
    latest.resetAndDestroy();
    const answer = (): Promise<number> => database.insert(1).catch(answer);
    assert.equal(await answer(), 2);
    assert.equal(await database.insert(1), 2);
  });
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
