import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { PodPlace } from './pod-fleet.ts';
import type { PodPlan } from './pod-plan.ts';
import { createPodStarter, type PodStarter, type PodStarterOptions } from './pod-starter.ts';
import { listenOnce } from './ports.ts';

describe('createPodStarter', () => {
  let dir: string;
  let port: number;
  let starter: PodStarter | undefined;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'starter-'));
    port = await listenOnce(0);
  });
  afterEach(() => {
    starter?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  function starterOf(kind: 'isolated' | 'proxy', mintToken: PodStarterOptions['mintToken']): PodStarter {
    starter = createPodStarter({
      machine: { env: {}, cwd: dir, uid: 0, gid: 0, pid: 0, node: process.execPath, launcher: '/nowhere/launcher.js' },
      run: { base: dir, file: (...parts: string[]) => join(dir, ...parts) },
      isolation: { kind, why: '', redirect: 'none' },
      sidecar: 'node',
      sidecars: new Map([['node', { kind: 'node', prepare: () => ({}), isReady: () => Promise.resolve(false) }]]),
      forwardLogs: false,
      egress: { allow: true, loopbackPorts: [] },
      base: {},
      read: () => undefined,
      mintToken,
      onNotice: () => undefined,
      onLog: () => undefined,
    } as unknown as PodStarterOptions);
    return starter;
  }

  function plan(name: string): PodPlan {
    const containers = [{ name: 'main', ports: [{ name: '', port }] }];
    return { namespace: 'shop', name, owner: `shop/Pod/${name}`, sidecar: 'node', containers } as unknown as PodPlan;
  }

  function place(name: string): PodPlace {
    mkdirSync(join(dir, name));
    return { ip: '10.244.0.2', dir: join(dir, name), uid: name };
  }

  const refuse = (): Promise<string> => Promise.reject(new Error('no token today'));

  /** Whether somebody takes connections there. */
  function answers(socketPath: string): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(socketPath);
      socket.once('connect', () => socket.destroy());
      socket.once('error', () => resolve(false));
      socket.once('close', (failed) => resolve(!failed));
    });
  }

  it('gives the ports of a pod back that could not be started', async () => {
    const { start } = starterOf('proxy', refuse);
    for (const name of ['one', 'two']) {
      await assert.rejects(
        start(plan(name), place(name), () => undefined),
        /no token today/,
      );
    }
  });

  it('gives the ports back that a pod had before it found one taken', async () => {
    const { start } = starterOf('proxy', refuse);
    const other = await listenOnce(0);
    const both = {
      ...plan('both'),
      containers: [{ name: 'main', ports: [port, other].map((each) => ({ name: '', port: each })) }],
    } as unknown as PodPlan;
    const stranger = createServer();
    await new Promise<void>((resolve) => stranger.listen(other, '127.0.0.1', resolve));
    const answer = await start(both, place('both'), () => undefined);
    assert.ok('reason' in answer && answer.reason === 'PortConflict');
    stranger.close();
    await assert.rejects(
      start(plan('one'), place('one'), () => undefined),
      /no token today/,
    );
  });

  it('closes the ways into and out of a pod that could not be started', async () => {
    let wayOut = false;
    const { start } = starterOf('isolated', async () => {
      wayOut = await answers(join(dir, 'web', 'egress.sock'));
      throw new Error('no token today');
    });
    await assert.rejects(
      start(plan('web'), place('web'), () => undefined),
      /no token today/,
    );
    assert.ok(wayOut);
    assert.equal(await answers(join(dir, 'web', 'egress.sock')), false);
  });

  it('keeps nothing for one who joined and was gone before it was told how', async () => {
    const closed = new AbortController();
    const joining = starterOf('isolated', () => {
      closed.abort();
      return Promise.resolve('token');
    });
    await assert.rejects(joining.join('shop', 'me', place('me'), closed.signal), { name: 'AbortError' });
    assert.equal(await answers(join(dir, 'me', 'egress.sock')), false);
  });

  it('keeps what one who joined has until it is gone', async () => {
    const closed = new AbortController();
    const joining = starterOf('isolated', () => Promise.resolve('token'));
    const { pod } = await joining.join('shop', 'me', place('me'), closed.signal);
    assert.ok(await answers(pod.egressSocket ?? ''));
    assert.ok(existsSync(join(pod.dir, 'token')));
    closed.abort();
    assert.equal(await answers(pod.egressSocket ?? ''), false);
  });
});
