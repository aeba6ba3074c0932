import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { PodPlan } from './pod-plan.ts';
import { runPod, type PodRunner } from './pod-runner.ts';

describe('runPod', function () {
  this.timeout(60_000);
  let dir: string;
  let runner: PodRunner | undefined;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'runner-'));
  });
  afterEach(async () => {
    await runner?.stop({ drain: false });
    rmSync(dir, { recursive: true, force: true });
  });

  const plan = {
    namespace: 'shop',
    name: 'web',
    hostname: 'web',
    sidecar: 'none',
    restart: 'Always',
    graceMs: 1_000,
    containers: [{ name: 'main', ports: [] }],
  } as unknown as PodPlan;

  /** A pod whose launcher is a script. */
  function pod(script: string, onChange: () => void): PodRunner {
    writeFileSync(join(dir, 'launcher.mjs'), script);
    return runPod({
      plan,
      pod: { plan, ip: '127.0.0.1', isolated: false, dir: join(dir, 'pod'), ports: [] },
      addresses: [],
      sidecar: undefined,
      launcher: () => ({ command: [process.execPath, join(dir, 'launcher.mjs')], env: {}, cwd: dir }),
      process: () => ({ program: 'true', args: [], env: {}, cwd: '/', confined: false }),
      relays: [],
      onChange,
      onLog: () => undefined,
      onGone: () => undefined,
    });
  }

  it('is started again later where this machine refuses it, as it is where its launcher has ended', async () => {
    await new Promise<void>((resolve) => {
      let endings = 0;
      runner = pod('process.exit(1)', () => {
        endings += 1;
        // From now on its directory can't be made.
        if (endings === 1) {
          rmSync(join(dir, 'pod'), { recursive: true });
          writeFileSync(join(dir, 'pod'), '');
        }
        if (endings === 3) resolve();
      });
    });
    assert.match(runner?.status.containers[0]?.message ?? '', /^E(EXIST|NOTDIR)/);
  });

  it('ends what a launcher has started that was killed', async () => {
    const app = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    const ended = once(app, 'exit');
    const events = [{ type: 'up' }, { type: 'started', name: 'main', pid: app.pid }];
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('');
    mkdirSync(join(dir, 'pod'));
    runner = pod(
      `import { writeSync } from 'node:fs'; writeSync(3, ${JSON.stringify(lines)}); process.kill(process.pid, 'SIGKILL');`,
      () => undefined,
    );
    const [, signal] = (await ended) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL');
  });
});
