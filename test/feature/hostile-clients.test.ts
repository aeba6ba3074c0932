import assert from 'node:assert/strict';
import { createConnection, type Socket } from 'node:net';
import { Client, Metadata, status as grpcStatus } from '@grpc/grpc-js';
import { adsPaths } from '../../pkg/xds/discovery.ts';
import type { OutboundService } from '../../pkg/policy/outbound.ts';
import { tulleTypes } from '../../pkg/xds/resources.ts';
import { type FeatureMesh, startMesh, until } from './feature-mesh.ts';
import { asControlPlane, openRawClient, openStuckClient, type RawClient } from './raw-client.ts';
import { shop } from './shop.ts';

const { outbound } = tulleTypes;
const cart = 'shop/cart:80';

describe('clients that do not behave', () => {
  let mesh: FeatureMesh;
  const clients: RawClient[] = [];
  const open = async (protocol: 'delta' | 'sotw' = 'delta'): Promise<RawClient> => {
    const client = await openRawClient(mesh, 'shop/web', protocol);
    clients.push(client);
    return client;
  };
  beforeEach(async () => {
    mesh = await startMesh({ limits: { requestBurst: 200, requestsPerSecond: 1, names: 1000, firstRequest: 300 } });
    await mesh.apply(shop());
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await mesh.close();
  });

  const publish = (weight: number): Promise<void> => {
    mesh.publish(shop({ weights: [weight, 1] }));
    return mesh.synced('shop/web-0');
  };

  it('that never answer hold back nobody, and find the newest state alone when they do', async () => {
    const good = await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    const silent = await open();
    silent.send({ typeUrl: outbound });
    await silent.until(() => silent.delta.length === 1);

    for (const weight of [2, 3, 4, 5]) await publish(weight);

    assert.equal(good.json<OutboundService>(outbound, cart).routes.at(-1)?.backends[0]?.weight, 5);
    assert.equal(silent.delta.length, 1);
    silent.send({ typeUrl: outbound, nonce: silent.delta[0]?.nonce ?? '' });
    await silent.until(() => silent.delta.length === 2);
    const newest = silent.delta[1]?.resources[0]?.any.toString() ?? '';
    assert.match(newest, /"weight":5/);
  });

  it('that stop reading hold back nobody', async () => {
    const good = await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    const stuck = await open();
    stuck.stopReading();
    stuck.send({ typeUrl: outbound, subscribe: ['*'] });

    for (let weight = 2; weight < 30; weight++) await publish(weight);

    assert.equal(good.json<OutboundService>(outbound, cart).routes.at(-1)?.backends[0]?.weight, 29);
  });

  it('that answer with old nonces change nothing', async () => {
    const client = await open();
    client.send({ typeUrl: outbound });
    await client.until(() => client.delta.length === 1);
    for (const nonce of ['x', '0', 'zzzz'])
      client.send({ typeUrl: outbound, nonce, error: { code: 3, message: 'no' } });
    client.send({ typeUrl: outbound, nonce: client.delta[0]?.nonce ?? '' });
    mesh.publish(shop({ weights: [7, 1] }));
    await client.until(() => client.delta.length === 2);

    assert.ok(!mesh.logs.some(({ level }) => level === 'error'));
  });

  it('that flood are turned away', async () => {
    const client = await open();
    for (let i = 0; i < 500; i++) client.send({ typeUrl: outbound, nonce: `${i}` });
    await client.until(() => client.status() !== undefined);

    assert.equal(client.status()?.code, grpcStatus.RESOURCE_EXHAUSTED);
    assert.match(mesh.metrics.render(), /tulle_xds_refused_total{reason="flood"} 1/);
  });

  it('that ask for too many names or types are turned away', async () => {
    const names = await open();
    names.send({ typeUrl: outbound, subscribe: Array.from({ length: 2000 }, (_, i) => `n${i}`) });
    const types = await open();
    for (let i = 0; i < 100; i++) types.send({ typeUrl: `x/type${i}` });
    await names.until(() => names.status() !== undefined && types.status() !== undefined);

    assert.deepEqual([names.status()?.code, types.status()?.code], [8, 8]);
    assert.deepEqual([...names.delta, ...types.delta], []);
  });

  it('that send what is no message are turned away', async () => {
    const client = await open();
    client.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    await client.until(() => client.status() !== undefined);

    assert.equal(client.status()?.code, grpcStatus.INVALID_ARGUMENT);
  });

  it('that say nothing are not waited for', async () => {
    const client = await open();
    await client.until(() => client.status() !== undefined);

    assert.equal(client.status()?.code, grpcStatus.DEADLINE_EXCEEDED);
  });

  it('but speak state of the world are served as well', async () => {
    const client = await open('sotw');
    client.sendSotw({ typeUrl: outbound });
    await client.until(() => client.sotw.length === 1);
    assert.equal(client.sotw[0]?.resources.length, 3);
    mesh.publish(shop({ weights: [7, 1] }));
    client.sendSotw({ typeUrl: outbound, version: client.sotw[0]?.version ?? '', nonce: client.sotw[0]?.nonce ?? '' });
    await client.until(() => client.sotw.length === 2);
    assert.match(client.sotw[1]?.resources.join() ?? '', /"weight":7/);
    client.sendSotw({ typeUrl: outbound, version: client.sotw[1]?.version ?? '', nonce: client.sotw[1]?.nonce ?? '' });

    const again = await open('sotw');
    again.sendSotw({ typeUrl: outbound, version: client.sotw[1]?.version ?? '' });
    again.sendSotw({ typeUrl: tulleTypes.settings });
    await again.until(() => again.sotw.length > 0);
    assert.deepEqual(
      again.sotw.map(({ typeUrl }) => typeUrl),
      [tulleTypes.settings],
    );
  });
});

function services(count: number): string {
  return Array.from(
    { length: count },
    (_, i) => `
apiVersion: v1
kind: Service
metadata: { name: service-${i}, namespace: shop }
spec: { selector: { app: cart }, ports: [{ port: 80, targetPort: 8080, appProtocol: http }] }`,
  ).join('\n---');
}

describe('clients that are too many', function () {
  this.timeout(60_000);
  let mesh: FeatureMesh;
  const ends: (() => void)[] = [];
  const start = async (limits: Parameters<typeof startMesh>[0] & object): Promise<void> => {
    mesh = await startMesh({ address: '127.0.0.1:0', ...limits });
    await mesh.apply(shop());
  };
  afterEach(async () => {
    for (const end of ends.splice(0)) end();
    await mesh.close();
  });
  const open = async (account = 'shop/web'): Promise<RawClient> => {
    const client = await openRawClient(mesh, account);
    ends.push(() => client.close());
    return client;
  };
  const metric = (name: string): number => {
    const line = mesh.metrics
      .render()
      .split('\n')
      .find((each) => each.startsWith(`${name} `));
    return Number(line?.slice(name.length) ?? 0);
  };
  const refusals = (text: RegExp): Record<string, unknown>[] =>
    mesh.logs.filter(({ reason, message }) => text.test(`${message as string}: ${reason as string}`));

  it('are turned away when there are too many streams in all, and others are served on', async () => {
    await start({ limits: { streams: 2 } });
    const good = [await open(), await open()];
    for (const client of good) client.send({ typeUrl: outbound });
    for (const client of good) await client.until(() => client.delta.length === 1);
    const late = [await open(), await open()];
    for (const client of late) await client.until(() => client.status() !== undefined);

    assert.deepEqual(
      late.map((client) => client.status()?.code),
      [8, 8],
    );
    assert.match(late[0]?.status()?.details ?? '', /too many streams/);
    assert.equal(metric('tulle_xds_refused_total{reason="streams"}'), 2);
    assert.equal(refusals(/ADS stream refused: too many streams/).length, 1, 'told once');
    good[0]?.send({ typeUrl: tulleTypes.settings });
    await good[0]?.until(() => good[0]?.delta.length === 2);
  });

  it('are turned away when one has too many streams, before it has said anything', async () => {
    await start({ limits: { streamsPerClient: 2, stuck: 1_000 } });
    const all = [await open(), await open(), await open()];
    await until(() => all.some((client) => client.status() !== undefined));
    assert.deepEqual(
      all.filter((client) => client.status() !== undefined).map((client) => client.status()?.code),
      [8],
    );
    assert.equal(refusals(/too many streams of one client/).length, 1);
  });

  it('are closed as strangers that say nothing, those with a stream are not', async () => {
    await start({ limits: { strangers: 3, firstStream: 200 } });
    const good = await open();
    good.send({ typeUrl: outbound });
    await good.until(() => good.delta.length === 1);
    const closed: Socket[] = [];
    const port = Number(mesh.address.split(':').at(-1));
    for (let i = 0; i < 8; i++) {
      const socket = createConnection({ host: '127.0.0.1', port });
      socket.on('error', () => undefined).on('close', () => closed.push(socket));
      ends.push(() => socket.destroy());
    }
    await until(() => closed.length >= 5);
    assert.equal(metric('tulle_xds_refused_total{reason="strangers"}'), 5);
    await until(() => closed.length === 8);
    assert.equal(metric('tulle_xds_refused_total{reason="idle"}'), 3);
    assert.equal(refusals(/xDS connection closed: too many connections of strangers/).length, 1);
    good.send({ typeUrl: tulleTypes.settings });
    await good.until(() => good.delta.length === 2);
    // There is room again.
    const next = await open();
    next.send({ typeUrl: outbound });
    await next.until(() => next.delta.length === 1);
  });

  it('are counted one by one with a bad token, and told of in a line', async () => {
    await start({});
    const { secure, options } = asControlPlane(mesh);
    const client = new Client(mesh.address, secure, options);
    ends.push(() => client.close());
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer nonsense');
    let refused = 0;
    const identity = (bytes: Buffer): Buffer => bytes;
    for (let i = 0; i < 50; i++) {
      const call = client.makeBidiStreamRequest(adsPaths.delta, identity, identity, metadata);
      call
        .on('data', () => undefined)
        .on('error', ({ code }: Error & { code?: number }) => {
          if (code === grpcStatus.UNAUTHENTICATED) refused += 1;
        });
    }
    await until(() => refused === 50);
    assert.equal(metric('tulle_xds_refused_total{reason="unauthenticated"}'), 50);
    assert.equal(refusals(/ADS client refused/).length, 1);
  });

  it('and do not read are given up when too much waits for all of them', async () => {
    await start({ limits: { queuedBytes: 1_400_000, stuck: 500, unsentBytes: 100_000_000 } });
    // A third of a megabyte.
    const many = (weight: number): string => shop({ weights: [weight, 1], more: services(700) });
    mesh.publish(many(2));
    const good = await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    const clients: Awaited<ReturnType<typeof openStuckClient>>[] = [];
    for (let i = 0; i < 8; i++) {
      const client = await openStuckClient(mesh, 'shop/web', outbound);
      clients.push(client);
      ends.push(() => client.close());
    }
    await until(() => metric('tulle_xds_refused_total{reason="queued"}') >= 2);
    await until(() => clients.filter((client) => !client.isOpen()).length >= 2);
    assert.ok(metric('tulle_xds_queued_bytes') < 2_000_000, 'the bound, and one write');
    assert.ok(metric('tulle_xds_queued_bytes') > 0, 'those that fit are waited for');
    assert.ok(refusals(/it does not read/).length > 0);

    mesh.publish(many(3));
    await mesh.synced('shop/web-0');
    assert.equal(good.json<OutboundService>(outbound, cart).routes.at(-1)?.backends[0]?.weight, 3);
  });

  it('and have nothing more to say are counted until they have read, and not waited for', async () => {
    await start({ limits: { streamsPerClient: 2, stuck: 1_000 } });
    mesh.publish(shop({ weights: [2, 1], more: services(700) }));
    const stuck: Awaited<ReturnType<typeof openStuckClient>>[] = [];
    for (let i = 0; i < 2; i++) {
      const client = await openStuckClient(mesh, 'shop/web', outbound, true);
      stuck.push(client);
      ends.push(() => client.close());
    }
    await until(() => metric('tulle_xds_queued_bytes') > 0);
    assert.ok(metric('tulle_xds_streams') > 0, 'its answer is held, so it counts');
    await until(() => stuck.every((client) => !client.isOpen()));
    assert.deepEqual([metric('tulle_xds_queued_bytes'), metric('tulle_xds_streams')], [0, 0]);
  });

  it('and have nothing more to say are sent their answer all the same', async () => {
    await start({});
    const client = await open();
    client.send({ typeUrl: outbound });
    client.end();
    await client.until(() => client.status() !== undefined);
    assert.deepEqual([client.status()?.code, client.delta.length], [grpcStatus.OK, 1]);
  });
});
