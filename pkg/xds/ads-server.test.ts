import assert from 'node:assert/strict';
import { Client, type ClientDuplexStream, credentials, Metadata, ServerCredentials, status } from '@grpc/grpc-js';
import { silentLogger } from '../observability/logger.ts';
import { Metrics } from '../observability/metrics.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import { type AdsServer, type AuthenticationRequest, createAdsServer } from './ads-server.ts';
import { adsPaths, encodeDeltaRequest } from './discovery.ts';
import { encodeNode } from './node-info.ts';
import { tulleTypes } from './resources.ts';
import { toBytesField } from './wire.ts';

const identity = 'spiffe://test/ns/shop/sa/web' as ServiceIdentity;
const bytes = (buffer: Buffer): Buffer => buffer;

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(holds());
}

describe('the ADS server, where tokens alone say who a client is', () => {
  const asked: AuthenticationRequest[] = [];
  const names: (() => void)[] = [];
  /** What was answered to those that are waited for. */
  const admitted: boolean[] = [];
  let server: AdsServer;
  let client: Client;

  beforeEach(async () => {
    asked.length = 0;
    names.length = 0;
    server = createAdsServer({
      source: { view: () => undefined, subscribe: () => () => undefined },
      authenticate: (request) => {
        asked.push(request);
        const { token, onNamed } = request;
        if (token === 'late') {
          return new Promise((resolve) => {
            names.push(() => resolve({ ok: onNamed?.({ identity }) === true, client: { identity }, reason: 'gone' }));
          });
        }
        if (token === 'waiting') {
          const isWaitedFor = onNamed?.({ identity }) ?? false;
          admitted.push(isWaitedFor);
          return isWaitedFor ? new Promise(() => undefined) : Promise.resolve({ ok: false, reason: 'too many' });
        }
        return Promise.resolve(
          token === 'good' ? { ok: true, client: { identity } } : { ok: false, reason: 'no such token' },
        );
      },
      byTokenAlone: true,
      limits: { streamsPerClient: 2, pendingStreams: 2, nameBytes: 10_000 },
      log: silentLogger,
      metrics: new Metrics(),
    });
    const port = await server.listen('127.0.0.1:0', ServerCredentials.createInsecure());
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  function open(token?: string): ClientDuplexStream<Buffer, Buffer> {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
    const call = client.makeBidiStreamRequest(adsPaths.delta, bytes, bytes, metadata);
    call.on('data', () => undefined);
    return call;
  }

  const codeOf = (call: ClientDuplexStream<Buffer, Buffer>): Promise<number> =>
    new Promise((resolve) => call.once('error', (error: Error & { code?: number }) => resolve(error.code ?? -1)));

  it('refuses a stranger before it has said anything', async () => {
    assert.equal(await codeOf(open()), status.UNAUTHENTICATED);
    assert.equal(await codeOf(open('bad')), status.UNAUTHENTICATED);
    assert.deepEqual(
      asked.map(({ token, node }) => [token, node.id]),
      [
        [undefined, ''],
        ['bad', ''],
      ],
    );
  });

  it('reads what a client says that is known', async () => {
    const call = open('good');
    const came = new Promise<void>((resolve) => server.onStatus(() => server.clients().length > 0 && resolve()));
    // A Node (field 1) with an id (field 1).
    call.write(Buffer.from([0x0a, 0x05, 0x0a, 0x03, ...Buffer.from('web')]));
    await came;
    assert.deepEqual(
      server.clients().map((one) => [one.identity, one.nodeId]),
      [[identity, 'web']],
    );
    assert.equal(asked.length, 1);
    call.on('error', () => undefined);
    call.cancel();
  });

  it('ends the stream of a client that is no longer served, though it has said nothing yet', async () => {
    const call = open('good');
    const code = codeOf(call);
    await until(() => asked.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    server.disconnect(() => true, 'the pod is gone');
    assert.equal(await code, status.UNAUTHENTICATED);
  });

  it('counts those that are waited for as streams of their client, and takes no room of strangers for them', async () => {
    const waiting = [open('waiting'), open('waiting')];
    for (const call of waiting) call.on('error', () => undefined);
    while (asked.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(await codeOf(open('bad')), status.UNAUTHENTICATED);
    assert.equal(await codeOf(open('waiting')), status.RESOURCE_EXHAUSTED);
  });

  it('counts nothing for a stream that has ended before it is known whose it is', async () => {
    const late = [open('late'), open('late')];
    for (const call of late) call.on('error', () => undefined);
    await until(() => names.length === 2);
    for (const call of late) call.cancel();
    const full: number = status.RESOURCE_EXHAUSTED;
    let code = full;
    // As long as their ends are not seen there is no room for a stranger.
    for (let i = 0; i < 100 && code === full; i++) code = await codeOf(open('bad'));
    assert.equal(code, status.UNAUTHENTICATED);
    for (const name of names) name();
    asked.length = 0;
    const waiting = [open('waiting'), open('waiting')];
    for (const call of waiting) call.on('error', () => undefined);
    await until(() => asked.length === 2);
    assert.equal(await codeOf(open('bad')), status.UNAUTHENTICATED);
    assert.equal(await codeOf(open('waiting')), status.RESOURCE_EXHAUSTED);
    assert.deepEqual(admitted.slice(-3), [true, true, false]);
  });

  it('bounds what is held of the names of one client over all its streams, until they end', async () => {
    const typeUrl = tulleTypes.outbound;
    const subscribe = Array.from({ length: 60 }, (_, i) => `shop/service-${i}`);
    const request = encodeDeltaRequest({ typeUrl, subscribe, unsubscribe: [], initialVersions: new Map(), nonce: '' });
    const say = async (): Promise<ClientDuplexStream<Buffer, Buffer>> => {
      const before = server.status().length;
      const call = open('good');
      call.on('error', () => undefined);
      call.write(request);
      await until(() => server.status().filter(({ types }) => types.length > 0).length > before);
      return call;
    };
    const first = await say();
    const second = open('good');
    const code = codeOf(second);
    second.write(request);
    assert.equal(await code, status.RESOURCE_EXHAUSTED);
    assert.equal(server.status().length, 1);
    first.cancel();
    await until(() => server.status().length === 0);
    (await say()).cancel();
  });

  it('keeps little of what a client says of itself', async () => {
    const call = open('good');
    const came = new Promise<void>((resolve) => server.onStatus(() => server.clients().length > 0 && resolve()));
    const metadata = { zone: 'a', bulk: 'x'.repeat(1_000_000) };
    const node = encodeNode({ id: 'web', cluster: '', userAgent: 'envoy', metadata });
    call.write(toBytesField(1, node));
    await came;
    assert.deepEqual(
      server.clients().map((one) => one.metadata),
      [{ zone: 'a' }],
    );
    call.on('error', () => undefined);
    call.cancel();
  });
});
