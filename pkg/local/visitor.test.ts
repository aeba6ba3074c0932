import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { launcherCommand } from './launcher-handle.ts';
import type { JoinTicket } from './pod-starter.ts';
import { runVisitor, type VisitEnd, type VisitOptions } from './visitor.ts';

describe('runVisitor', function () {
  this.timeout(60_000);
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'visitor-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const env = { PATH: process.env['PATH'] ?? '' };
  const root = join(import.meta.dirname, '..', '..');
  const launcher = join(root, 'cmd', 'launcher', 'main.ts');

  /** A program that says on disk that it ran, under a real launcher, beside a sidecar that only waits. */
  function visit(
    isReady: VisitOptions['isReady'],
    signal: AbortSignal | undefined,
    script = 'echo > $RAN',
  ): Promise<VisitEnd> {
    const [node = '', ...args] = launcherCommand(process.execPath, launcher, { hosts: [], forwardLogs: true });
    const sidecarSpec = {
      program: 'sleep',
      args: ['60'],
      env,
      cwd: '/',
      confined: false,
      log: join(dir, 'sidecar.log'),
    };
    return runVisitor({
      ticket: {
        launcher: [node, '--import', 'tsx', ...args],
        launcherEnv: env,
        pod: { dir },
        sidecarSpec,
        env: {},
        confined: false,
      } as unknown as JoinTicket,
      program: 'sh',
      args: ['-c', script],
      env: { ...env, RAN: join(dir, 'ran') },
      cwd: root,
      log: join(dir, 'app.log'),
      isReady,
      ...(signal ? { signal } : {}),
    });
  }

  it('ends with the exit code of its program', async () => {
    assert.deepEqual(await visit(() => Promise.resolve(true), undefined, 'exit 3'), { code: 3 });
  });

  it('does not start its program when it is told to end while its sidecar gets ready', async () => {
    const stop = new AbortController();
    const isReady = (): Promise<boolean> => {
      stop.abort();
      return Promise.resolve(true);
    };
    assert.deepEqual(await visit(isReady, stop.signal, 'echo > $RAN; sleep 60'), { code: 143 });
    assert.equal(existsSync(join(dir, 'ran')), false);
  });

  it('does not start its program when it was told to end before', async () => {
    assert.deepEqual(await visit(() => Promise.resolve(true), AbortSignal.abort()), { code: 143 });
    assert.equal(existsSync(join(dir, 'ran')), false);
  });

  it('ends its program when it is told to', async () => {
    const stop = new AbortController();
    const running = visit(() => Promise.resolve(true), stop.signal, 'echo > $RAN; sleep 60');
    while (!existsSync(join(dir, 'ran'))) await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort();
    assert.deepEqual(await running, { code: 143 });
  });
});
