import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { after, before, describe, it } from 'mocha';
import { decodeQuery, type DnsAnswer, encodeAnswer } from './dns-message.ts';
import { runDnsServer } from './dns-server.ts';
import type { DnsServer } from './dns-server.ts';
import { createNameAnswers } from './name-answers.ts';
import { createOutsideNames, standsForName } from './outside-names.ts';

const hosts = `127.0.0.1 localhost
::1 localhost ip6-localhost
10.96.0.7 cart.shop cart.shop.svc.cluster.local
10.244.0.2 db.shop
10.244.0.3 db.shop
`;

function toQuery(name: string, type = 1): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const end = Buffer.from([0, 0, type, 0, 1]);
  return Buffer.concat([Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...labels, end]);
}

describe('the name server of a pod', () => {
  let server: DnsServer;
  const outside = createOutsideNames();
  const resolver = new Resolver({ timeout: 2_000, tries: 1 });
  const codeOf = async (asked: Promise<unknown>): Promise<string | undefined> =>
    asked.then(
      () => 'answered',
      ({ code }: NodeJS.ErrnoException) => code,
    );

  before(async () => {
    const answers = createNameAnswers({
      hosts: () => hosts,
      namespaces: () => new Set(['shop']),
      outside,
      exists: (name) => Promise.resolve(name !== 'nosuch.example'),
    });
    server = await runDnsServer(answers);
    resolver.setServers([`127.0.0.1:${server.udpPort}`]);
  });
  after(() => server.close());

  it('knows the names of the mesh, whatever their case', async () => {
    assert.deepEqual(await resolver.resolve4('Cart.Shop'), ['10.96.0.7']);
    assert.deepEqual(await resolver.resolve4('db.shop'), ['10.244.0.2', '10.244.0.3']);
    assert.deepEqual(await resolver.resolve4('localhost.'), ['127.0.0.1']);
  });

  it('may be closed while a name is looked up', async () => {
    let found = (_answer: DnsAnswer): void => undefined;
    let isAsked = (): void => undefined;
    const asked = new Promise<void>((resolve) => (isAsked = resolve));
    const other = await runDnsServer(() => {
      isAsked();
      return new Promise((resolve) => (found = resolve));
    });
    const client = createSocket('udp4');
    client.send(toQuery('slow.example'), other.udpPort, '127.0.0.1');
    await asked;
    other.close();
    found({ code: 'ok', addresses: ['127.0.0.1'], ttlSeconds: 1 });
    // What is not caught by then ends the process.
    await new Promise((resolve) => setImmediate(resolve));
    client.close();
  });

  it('has no IPv6, without denying the name', async () => {
    assert.equal(await codeOf(resolver.resolve6('cart.shop')), 'ENODATA');
    assert.equal(await codeOf(resolver.resolveMx('example.com')), 'ENODATA');
  });

  it('says that a Service that is not there is no name, and asks nobody outside', async () => {
    for (const name of ['cartt.shop', 'cartt.shop.svc', 'cartt.shop.svc.cluster.local', '7.0.96.10.in-addr.arpa']) {
      assert.equal(await codeOf(resolver.resolve4(name)), 'ENOTFOUND', name);
    }
  });

  it('gives a name outside an address of its own, which stays', async () => {
    const [address = ''] = await resolver.resolve4('example.com');
    assert.ok(standsForName(address), address);
    assert.equal(outside.nameOf(address), 'example.com');
    assert.deepEqual(await resolver.resolve4('EXAMPLE.com'), [address]);
    assert.notDeepEqual(await resolver.resolve4('www.example.com'), [address]);
    assert.equal(await codeOf(resolver.resolve4('nosuch.example')), 'ENOTFOUND');
  });

  it('answers by TCP, in order, what comes in pieces', async () => {
    const client = connect(server.tcpPort, '127.0.0.1');
    const asked = [toQuery('cart.shop'), toQuery('db.shop')].flatMap((query) => [
      Buffer.from([0, query.length]),
      query,
    ]);
    const bytes = Buffer.concat(asked);
    client.write(bytes.subarray(0, 5));
    setImmediate(() => client.end(bytes.subarray(5)));
    const chunks: Buffer[] = [];
    for await (const chunk of client) chunks.push(chunk as Buffer);
    const all = Buffer.concat(chunks);
    const first = all.subarray(2, 2 + all.readUInt16BE(0));
    assert.deepEqual([...first.subarray(-4)], [10, 96, 0, 7]);
    assert.deepEqual([...all.subarray(-4)], [10, 244, 0, 3]);
  });

  it('refuses what is no question, and goes on', async () => {
    const socket = createSocket('udp4');
    const heard = new Promise<Buffer>((resolve) => socket.once('message', resolve));
    socket.send(toQuery('cart.shop').subarray(0, 3), server.udpPort, '127.0.0.1');
    socket.send(toQuery('cart.shop').subarray(0, 14), server.udpPort, '127.0.0.1');
    assert.equal((await heard).readUInt16BE(2), 0x8081);
    socket.close();
    assert.deepEqual(await resolver.resolve4('cart.shop'), ['10.96.0.7']);
  });

  it('without a way out every name with a dot stands for itself, so that the call can say why it is refused', async () => {
    const answers = createNameAnswers({ hosts: () => '', namespaces: () => new Set(), outside: createOutsideNames() });
    assert.equal((await answers('nosuch.example')).code, 'ok');
    assert.equal((await answers('cart')).code, 'no-such-name');
  });

  it('reads no question that points elsewhere, is too long or is an answer', () => {
    const query = toQuery('cart.shop');
    assert.equal(decodeQuery(query)?.name, 'cart.shop');
    const pointer = Buffer.from(query);
    pointer[12] = 0xc0;
    assert.equal(decodeQuery(pointer), undefined);
    assert.equal(decodeQuery(query.subarray(0, -2)), undefined);
    assert.equal(decodeQuery(toQuery(Array.from({ length: 6 }, () => 'x'.repeat(60)).join('.'))), undefined);
    const own = decodeQuery(query);
    assert.ok(own);
    assert.equal(decodeQuery(encodeAnswer(own, { code: 'ok', addresses: [], ttlSeconds: 1 })), undefined);
  });
});

describe('addresses that stand for names', () => {
  it('are bounded: the name that was not used for longest loses its own', () => {
    const names = createOutsideNames(2);
    const a = names.addressOf('a.example');
    const b = names.addressOf('b.example');
    names.nameOf(a);
    const c = names.addressOf('c.example');
    assert.equal(names.nameOf(b), undefined);
    assert.equal(names.nameOf(a), 'a.example');
    assert.equal(new Set([a, b, c]).size, 3);
    assert.equal(names.nameOf('198.18.0.1'), undefined);
    assert.equal(names.nameOf('10.0.0.1'), undefined);
  });

  it('are those of before when the sidecar has restarted, and no two names share one', () => {
    const all = Array.from({ length: 4_000 }, (_, i) => `n${i}.example`);
    const before = createOutsideNames();
    const after = createOutsideNames();
    const addresses = all.map((name) => before.addressOf(name));
    assert.equal(new Set(addresses).size, all.length);
    assert.deepEqual(
      all.map((name) => after.addressOf(name)),
      addresses,
    );
    assert.ok(addresses.every((address) => standsForName(address) && !address.startsWith('198.18.0.')));
  });
});
