import assert from 'node:assert/strict';
import { status as grpcStatus } from '@grpc/grpc-js';
import type { OutboundService } from '../../pkg/policy/outbound.ts';
import { tulleTypes } from '../../pkg/xds/resources.ts';
import { type FeatureMesh, startMesh } from './feature-mesh.ts';
import { openRawClient, type RawClient } from './raw-client.ts';
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
