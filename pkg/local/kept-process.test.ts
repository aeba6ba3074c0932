import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'mocha';
import { keepProcess, type KeptProcess, type KeptProcessOptions } from './kept-process.ts';
import type { LauncherSpawn } from './launcher-handle.ts';
import type { LauncherCommand, ProcessSpec } from './launcher-protocol.ts';

const spec: ProcessSpec = { program: 'true', args: [], env: {}, cwd: '/', confined: false };

interface FakeLauncher extends Pick<LauncherSpawn, 'onEvent' | 'onExit'> {
  readonly told: LauncherCommand[];
}

/** A process that is kept, the launchers that were started for it, and its time. */
function keep(more: Partial<KeptProcessOptions> = {}): {
  readonly kept: KeptProcess;
  readonly launchers: FakeLauncher[];
  readonly waiting: { readonly milliseconds: number; readonly task: () => void }[];
  readonly ends: string[];
} {
  const launchers: FakeLauncher[] = [];
  const waiting: { readonly milliseconds: number; readonly task: () => void }[] = [];
  const ends: string[] = [];
  const options: KeptProcessOptions = {
    name: 'controller',
    launcher: { command: [], env: {}, cwd: '/' },
    spec: () => Promise.resolve(spec),
    onStart: () => undefined,
    onEnd: (message) => void ends.push(message),
    onLog: () => undefined,
    ...more,
  };
  const kept = keepProcess(options, {
    startLauncher(launch) {
      const told: LauncherCommand[] = [];
      const launcher: FakeLauncher = {
        told,
        onEvent: (event) => launch.onEvent(event),
        onExit: (reason) => launch.onExit(reason),
      };
      launchers.push(launcher);
      return {
        pid: 1_000_000 + launchers.length,
        tell: (command) => void told.push(command),
        close: () => undefined,
        kill: () => undefined,
      };
    },
    later(milliseconds, task) {
      const entry = { milliseconds, task };
      waiting.push(entry);
      return () => void waiting.splice(waiting.indexOf(entry), 1);
    },
  });
  return { kept, launchers, waiting, ends };
}

/** What was promised is done. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('keepProcess', () => {
  it('starts a program once that has ended together with its launcher', async () => {
    const { kept, launchers, waiting, ends } = keep();
    launchers[0]?.onEvent({ type: 'up' });
    await settled();
    launchers[0]?.onEvent({ type: 'started', name: 'controller', pid: 2_000_000 });
    launchers[0]?.onEvent({ type: 'exited', name: 'controller', code: 1, signal: null });
    launchers[0]?.onExit('ended with 1');
    for (const { task } of [...waiting]) task();
    launchers[1]?.onEvent({ type: 'up' });
    await settled();
    assert.equal(launchers.length, 2);
    assert.equal(launchers[1]?.told.length, 1);
    assert.equal(kept.restarts, 1);
    assert.deepEqual(ends, ['ended with 1']);
  });

  it('starts it once where its launcher has ended while it was asked what to start', async () => {
    const answers: ((spec: ProcessSpec) => void)[] = [];
    const { launchers, waiting } = keep({ spec: () => new Promise((resolve) => answers.push(resolve)) });
    launchers[0]?.onEvent({ type: 'up' });
    launchers[0]?.onExit('killed');
    waiting[0]?.task();
    launchers[1]?.onEvent({ type: 'up' });
    for (const answer of answers) answer(spec);
    await settled();
    assert.equal(launchers[1]?.told.length, 1);
  });

  it('ends a program whose launcher was killed', async () => {
    const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    const ended = once(child, 'exit');
    const { launchers } = keep();
    launchers[0]?.onEvent({ type: 'started', name: 'controller', pid: child.pid ?? 0 });
    launchers[0]?.onExit('ended with SIGKILL');
    const [, signal] = (await ended) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL');
  });

  it('waits longer each time that it can not be started', async () => {
    const { launchers, waiting } = keep({ spec: () => Promise.reject(new Error('the port is taken')) });
    launchers[0]?.onEvent({ type: 'up' });
    for (let i = 0; i < 3; i += 1) {
      await settled();
      waiting[i]?.task();
    }
    assert.deepEqual(
      waiting.map(({ milliseconds }) => milliseconds),
      [100, 200, 400],
    );
  });

  it('starts nothing any more after it was stopped', async () => {
    const { kept, launchers, waiting } = keep();
    launchers[0]?.onExit('killed');
    await kept.stop();
    assert.deepEqual(waiting, []);
    assert.equal(launchers.length, 1);
  });
});
