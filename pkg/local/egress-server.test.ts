import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { existsOutside, toOutsideUpstream } from '../sidecar/egress-client.ts';
import { decodeEgressRequest } from '../sidecar/egress-protocol.ts';
import { openEgress, type EgressServer, type FindAddresses } from './egress-server.ts';

describe('the way out of an isolated pod', () => {
  const folder = mkdtempSync(join(tmpdir(), 't-egress-'));
  const path = join(folder, 'e.sock');
  const asked: string[] = [];
  const refused: string[] = [];
  let greeter: Server;
  let port: number;
  let egress: EgressServer;

  before(async () => {
    greeter = createServer((socket) => {
      socket.write('hello ');
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => greeter.listen(0, '127.0.0.1', resolve));
    ({ port } = greeter.address() as AddressInfo);
    const find: FindAddresses = (host) => {
      asked.push(host);
      if (host === 'nosuch.example') return Promise.reject(new Error('ENOTFOUND'));
      const own = ['127.0.0.1', '::1', '::ffff:127.0.0.1', '0.0.0.0', '::'];
      return Promise.resolve(own.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
    };
    egress = await openEgress(path, { loopbackPorts: [port], find, onRefused: (why) => void refused.push(why) });
  });
  after(() => {
    egress.close();
    greeter.close();
    rmSync(folder, { recursive: true });
  });

  const dial = (host: string, to: number): Promise<unknown> =>
    toOutsideUpstream({ socket: path }, host, to).connect('tcp');

  it('is for its user alone', () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  it('carries bytes both ways, of a server that speaks first too, until both have ended', async () => {
    const socket = await toOutsideUpstream({ socket: path }, 'host.tulle.internal', port).connect('tcp');
    socket.end('world');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.equal(text, 'hello world');
  });

  it('leads to no port of this machine that was not named', async () => {
    await assert.rejects(dial('host.tulle.internal', port + 1), /--egress-loopback/);
    assert.match(refused.join(), /--egress-loopback/);
  });

  it('leads to this machine by no other name or address', async () => {
    await assert.rejects(dial('sly.example', port), /no host sly\.example/);
    for (const ip of ['127.0.0.1', '127.9.9.9', '0.0.0.0', '255.255.255.255']) {
      await assert.rejects(dial(ip, port), /no place outside/, ip);
    }
    assert.ok(asked.includes('sly.example'));
  });

  it('says whether a name exists', async () => {
    assert.equal(await existsOutside(path, 'host.tulle.internal'), true);
    assert.equal(await existsOutside(path, 'nosuch.example'), false);
    assert.equal(await existsOutside(join(folder, 'none'), 'host.tulle.internal'), false);
  });

  it('refuses what it does not understand', async () => {
    for (const line of [
      'CONNECT a',
      'CONNECT a 0',
      'CONNECT a 70000',
      'CONNECT a b 1',
      'RESOLVE',
      'CONNECT -x 1',
      'X',
    ]) {
      assert.equal(decodeEgressRequest(line), undefined, line);
    }
    const socket = connect(path);
    socket.write(`${'x'.repeat(600)}`);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^NO /);
  });
});
