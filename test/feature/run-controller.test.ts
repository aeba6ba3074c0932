import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createTokenKey, issueToken } from '../../pkg/certs/tokens.ts';
import { type ControllerConfig, decodeControllerConfig } from '../../pkg/control-plane/config.ts';
import { runController, type RunningController } from '../../pkg/control-plane/run-controller.ts';
import { silentLogger } from '../../pkg/observability/logger.ts';
import type { OutboundService } from '../../pkg/policy/outbound.ts';
import { createAdsClient } from '../../pkg/xds/ads-client.ts';
import { tulleTypes } from '../../pkg/xds/resources.ts';
import { until } from './feature-mesh.ts';
import { shop } from './shop.ts';

const { outbound } = tulleTypes;

describe('runController', () => {
  let folder: string;
  let config: ControllerConfig;
  let end: AbortController;
  let running: RunningController | undefined;
  const key = createTokenKey();

  beforeEach(async () => {
    folder = await mkdtemp('/tmp/tulle-run-');
    end = new AbortController();
    await mkdir(join(folder, 'mesh'));
    await writeFile(join(folder, 'mesh', 'shop.yaml'), shop());
    await writeFile(join(folder, 'token.pub.json'), JSON.stringify((await key).publicKeys));
    config = {
      id: 'test',
      inputs: [join(folder, 'mesh')],
      mesh: {
        mode: 'enforce',
        modeFrom: 'default',
        pathMatch: 'full',
        trustDomain: 'cluster.local',
        egress: 'deny',
        tracing: { sampling: 1 },
      },
      isolation: 'isolated',
      xds: {
        socket: join(folder, 'xds.sock'),
        caFile: join(folder, 'controller-ca.pem'),
        tokenKeysFile: join(folder, 'token.pub.json'),
      },
      caDirectory: join(folder, 'ca'),
      apiPort: 0,
      openXds: '127.0.0.1:0',
      otlpSocket: join(folder, 'otlp.sock'),
      protosFile: resolve('build/protos.json'),
    };
  });
  afterEach(async () => {
    end.abort();
    await running?.done;
    running = undefined;
    await rm(folder, { recursive: true });
  });

  const start = async (): Promise<RunningController> => {
    running = await runController(decodeControllerConfig(JSON.stringify(config)), { log: silentLogger }, end.signal);
    return running;
  };

  /** A client on the socket, by token; collects what it is sent of outbound services. */
  async function connect() {
    const { privateKey } = await key;
    const changes: string[] = [];
    const services = new Map<string, OutboundService>();
    const closing = new AbortController();
    const { done } = createAdsClient({
      address: `unix:${config.xds?.socket}`,
      ca: () => readFile(config.xds?.caFile ?? ''),
      token: () =>
        issueToken(privateKey, { namespace: 'shop', serviceAccount: 'web' }, { now: Date.now(), lifetime: 60 }),
      node: { id: 'web', userAgent: 'tulle-test/1' },
      types: [{ typeUrl: outbound }],
      onUpdate: (_type, { changed }) => {
        for (const { name, value } of changed) services.set(name, JSON.parse(value.toString()) as OutboundService);
        changes.push(...changed.map(({ name }) => name));
      },
      random: () => 0,
      signal: closing.signal,
    });
    const weight = (): number | undefined => services.get('shop/cart:80')?.routes.at(-1)?.backends[0]?.weight;
    const close = (): Promise<void> => (closing.abort(), done);
    return { changes, weight, close };
  }

  it('serves what is in the files, and follows them', async () => {
    await start();
    const client = await connect();
    await until(() => client.weight() === 90);

    await writeFile(join(folder, 'new'), shop({ weights: [12, 34] }));
    await rename(join(folder, 'new'), join(folder, 'mesh', 'shop.yaml'));
    await until(() => client.weight() === 12);

    await writeFile(join(folder, 'mesh', 'bad.yaml'), 'kind: [');
    const { view } = running?.controlPlane ?? assert.fail();
    await until(() => view.state().problems.length > 0);
    assert.equal(view.state().problems[0]?.position?.file, join(folder, 'mesh', 'bad.yaml'));
    assert.equal(client.weight(), 12);
    await client.close();
  });

  it('goes on after a restart with the same authority, and sends nothing again', async () => {
    await start();
    const client = await connect();
    await until(() => client.weight() === 90);
    const sent = client.changes.length;
    const roots = await readFile(config.xds?.caFile ?? '', 'utf8');

    end.abort();
    await running?.done;
    end = new AbortController();
    const again = await start();
    await until(() => again.controlPlane.servers()[0]?.clients().length === 1);
    await until(() => again.controlPlane.view.state().proxies[0]?.types[0]?.synced === true);

    assert.equal(client.changes.length, sent);
    assert.equal(await readFile(config.xds?.caFile ?? '', 'utf8'), roots);
    assert.equal((await stat(join(folder, 'ca', 'authority.json'))).mode & 0o777, 0o600);
    await client.close();
  });

  it('answers over HTTP: health, metrics, the mesh', async () => {
    const { apiPort } = await start();
    const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${apiPort}${path}`)).text();

    assert.match(await get('/healthz'), /^ok/);
    assert.match(await get('/metrics'), /tulle_build_seconds_count 1/);
    const mesh = JSON.parse(await get('/api/mesh')) as { splits: { split: string }[]; pods: { pod: string }[] };
    assert.deepEqual(
      mesh.splits.map(({ split }) => split),
      ['shop/cart'],
    );
    assert.equal(mesh.pods.length, 4);
  });

  it('serves whoever says who they are on the loopback, and nowhere else', async () => {
    const { openXdsPort } = await start();
    const closing = new AbortController();
    const services: string[] = [];
    const { done } = createAdsClient({
      address: `127.0.0.1:${openXdsPort}`,
      node: {
        id: 'x',
        userAgent: 'tulle-test/1',
        metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'web', NAME: 'web-0' },
      },
      types: [{ typeUrl: outbound }],
      onUpdate: (_type, { changed }) => services.push(...changed.map(({ name }) => name)),
      signal: closing.signal,
    });
    await until(() => services.includes('shop/cart:80'));
    assert.equal(running?.controlPlane.view.state().proxies[0]?.pod, 'shop/web-0');
    closing.abort();
    await done;

    for (const address of ['0.0.0.0:18000', '10.0.0.1:18000', 'example.com:1', '[::]:1', ':1']) {
      config = { ...config, openXds: address };
      assert.throws(() => decodeControllerConfig(JSON.stringify(config)), /loopback/);
    }
  });

  it('says which port is taken', async () => {
    const first = await start();
    const taken = { ...config, apiPort: first.apiPort ?? 0, otlpSocket: join(folder, 'o2.sock') };

    await assert.rejects(runController(taken, { log: silentLogger }, end.signal), /port \d+ of 127.0.0.1 is in use/);
  });
});
