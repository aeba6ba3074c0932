import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { type ConnectionGate, createConnectionGate, type GateRefusal } from './connection-gate.ts';

class FakeSocket extends EventEmitter {
  destroyed = false;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number;
  constructor(remoteAddress: string | undefined, remotePort: number) {
    super();
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
}

describe('connections of which nobody knows whose they are', () => {
  let refused: GateRefusal[];
  let gate: ConnectionGate;
  let port: number;
  beforeEach(() => {
    refused = [];
    port = 1000;
    const limits = { connections: 6, strangers: 4, strangersPerAddress: 2, firstStream: 20 };
    gate = createConnectionGate({ limits, onRefused: (one) => void refused.push(one) });
  });
  afterEach(() => gate.close());

  function connect(address: string | undefined): { socket: FakeSocket; taken: boolean; peer: string } {
    const socket = new FakeSocket(address, (port += 1));
    return { socket, taken: gate.take(socket as unknown as Socket), peer: `${address}:${port}` };
  }
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  it('are bounded, from each address and in all', () => {
    assert.deepEqual(
      ['a', 'a', 'a', 'b', 'c', 'd', 'e'].map((address) => connect(address).taken),
      [true, true, false, true, true, true, false],
    );
    assert.deepEqual(
      refused.map(({ kind, address }) => [kind, address]),
      [
        ['strangers', 'a'],
        ['strangers', 'a'],
        ['strangers', 'e'],
      ],
    );
    assert.equal(gate.strangers, 4);
  });

  it('make room for one of another address, the oldest of the address that has the most first', () => {
    const limits = { connections: 9, strangers: 4, strangersPerAddress: 4, firstStream: 1000 };
    gate = createConnectionGate({ limits, onRefused: (one) => void refused.push(one) });
    const [first, second, third] = [connect('a'), connect('a'), connect('a')];
    const other = connect('b');
    assert.equal(connect('c').taken, true);
    assert.deepEqual(
      [first, second, third, other].map(({ socket }) => socket.destroyed),
      [true, false, false, false],
    );
    assert.equal(gate.strangers, 4);
    assert.equal(connect('a').taken, false, 'it is the one that has the most');
    assert.equal(connect('d').taken, true);
    assert.equal(connect('e').taken, false, 'nobody has more than one');
    const pass = gate.enter(first.peer);
    pass.known();
    pass.left();
    assert.equal(gate.strangers, 4);
  });

  it('are not kept by trying again and again', async () => {
    const { socket, peer } = connect('a');
    for (let i = 0; i < 20 && !socket.destroyed; i++) {
      const pass = gate.enter(peer);
      await wait(5);
      if (!socket.destroyed) pass.left();
    }
    assert.equal(socket.destroyed, true);
    const held = connect('b');
    gate.enter(held.peer);
    await wait(100);
    assert.equal(held.socket.destroyed, true, 'nor by a stream that says nothing');
    assert.equal(gate.strangers, 0);
  });

  it('are not counted when they are known, and are again when their streams have ended', () => {
    const one = connect('a');
    const pass = gate.enter(one.peer);
    pass.known();
    pass.known();
    connect('a');
    assert.equal(connect('a').taken, true);
    assert.equal(gate.strangers, 2);
    pass.left();
    pass.left();
    assert.equal(gate.strangers, 3);
    one.socket.destroy();
    assert.deepEqual([gate.strangers, gate.connections], [2, 2]);
  });

  it('are bounded with those that are known', () => {
    for (let i = 0; i < 6; i++) gate.enter(connect(`10.0.0.${i}`).peer).known();
    assert.equal(connect('10.0.0.9').taken, false);
    assert.equal(refused[0]?.kind, 'connections');
    assert.equal(gate.strangers, 0);
  });

  it('are closed when no stream comes, or none is left', async () => {
    const silent = connect('a');
    const busy = connect('b');
    const pass = gate.enter(busy.peer);
    pass.known();
    await wait(60);
    assert.deepEqual([silent.socket.destroyed, busy.socket.destroyed], [true, false]);
    assert.deepEqual(
      refused.map(({ kind }) => kind),
      ['idle'],
    );
    pass.left();
    await wait(60);
    assert.equal(busy.socket.destroyed, true);
    assert.deepEqual([gate.strangers, gate.connections], [0, 0]);
  });

  it('of this machine itself, or through the file of a socket, are bounded in all alone', async () => {
    assert.deepEqual(
      ['127.0.0.1', '127.0.0.1', '::ffff:127.0.0.1', undefined].map((address) => connect(address).taken),
      [true, true, true, true],
    );
    const { socket } = connect(undefined);
    await wait(60);
    assert.equal(socket.destroyed, false);
    assert.equal(gate.connections, 2);
  });

  it('end with what was still to be sent when they are cut', () => {
    const { socket, peer } = connect('a');
    const pass = gate.enter(peer);
    pass.known();
    pass.cut();
    assert.equal(socket.destroyed, true);
    pass.left();
    assert.deepEqual([gate.strangers, gate.connections], [0, 0]);
  });
});
