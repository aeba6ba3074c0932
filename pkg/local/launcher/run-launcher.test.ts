import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { readJsonLines, writeJsonLine } from '../json-lines.ts';
import type { LauncherCommand, LauncherEvent, Probe, ProcessSpec } from '../launcher-protocol.ts';
import { isRunning, markProcess } from '../processes.ts';
import { runLauncher } from './run-launcher.ts';

describe('runLauncher', () => {
  let dir: string;
  let control: Socket;
  let done: Promise<void>;
  let events: LauncherEvent[];
  let heard: () => void;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'launcher-'));
    events = [];
    heard = () => undefined;
    const server = createServer().listen(join(dir, 'control.sock'));
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    control = connect(join(dir, 'control.sock'));
    done = runLauncher(await accepted, { hosts: [], forwardLogs: true });
    server.close();
    readJsonLines(control, (message) => {
      events.push(message as LauncherEvent);
      heard();
    });
  });
  afterEach(async () => {
    control.end();
    await done;
    rmSync(dir, { recursive: true, force: true });
  });

  const tell = (command: LauncherCommand): boolean => writeJsonLine(control, command);

  function event<T extends LauncherEvent['type']>(type: T, name: string): Promise<LauncherEvent & { type: T }> {
    return new Promise((resolve) => {
      heard = () => {
        const found = events.find((entry) => entry.type === type && 'name' in entry && entry.name === name);
        if (found) resolve(found as LauncherEvent & { type: T });
      };
      heard();
    });
  }

  function spec(program: string, ...args: string[]): ProcessSpec {
    const env = { PATH: process.env['PATH'] ?? '' };
    return { program, args, env, cwd: '/', confined: false, log: join(dir, 'app.log') };
  }

  it('starts nothing a second time under a name that runs, and ends all that it has started', async () => {
    tell({ type: 'start', name: 'app', spec: spec('sleep', '60') });
    tell({ type: 'start', name: 'app', spec: spec('sleep', '60') });
    tell({ type: 'start', name: 'last', spec: spec('sleep', '60') });
    await event('started', 'last');
    const marks = events.flatMap((entry) => (entry.type === 'started' ? [markProcess(entry.pid)] : []));
    assert.equal(marks.length, 2);
    control.end();
    await done;
    // The kernel ends them in its own time.
    while (marks.some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('sends what a program prints line by line: the start of a long one, and a last one that nothing ends', async () => {
    const program = 'process.stdout.write("x".repeat(200_000) + "\\nshort\\nlast")';
    tell({ type: 'start', name: 'app', spec: spec(process.execPath, '-e', program) });
    await event('exited', 'app');
    const last = (): LauncherEvent | undefined => events.find((entry) => entry.type === 'log' && entry.line === 'last');
    await new Promise<void>((resolve) => {
      heard = () => last() && resolve();
      heard();
    });
    const lines = events.flatMap((entry) => (entry.type === 'log' ? [entry.line] : []));
    assert.deepEqual(lines, ['x'.repeat(16_384), 'short', 'last']);
  });

  it('tells of what can not be started, and goes on', async () => {
    tell({ type: 'start', name: 'unsayable', spec: spec('echo', 'a\0b') });
    tell({ type: 'start', name: 'unlogged', spec: { ...spec('echo'), log: join(dir, 'nowhere', 'app.log') } });
    tell({ type: 'start', name: 'missing', spec: spec('/nowhere/program') });
    tell({ type: 'start', name: 'app', spec: spec('true') });
    await event('failed', 'unsayable');
    await event('failed', 'unlogged');
    await event('failed', 'missing');
    await event('exited', 'app');
  });

  it('ends a probe that is being asked', async () => {
    const file = join(dir, 'pid');
    const asking = spec('sh', '-c', `echo $$ > ${file}.new; mv ${file}.new ${file}; sleep 60; true`);
    const times = { initialDelayMs: 0, periodMs: 1_000, timeoutMs: 60_000, successThreshold: 1, failureThreshold: 1 };
    const probe: Probe = { ...times, handler: { kind: 'exec', spec: asking }, eager: false };
    tell({ type: 'watch', name: 'app', kind: 'liveness', probe });
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 5));
    const mark = markProcess(Number(readFileSync(file, 'utf8')));
    control.end();
    await done;
    while (isRunning(mark)) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('tells one alone to end that ends in order what it has started', async () => {
    const child = '(trap "echo told; exit" TERM; trap "echo asked; exit" WINCH; echo up; while :; do sleep 0.02; done)';
    const leader = `trap 'kill -WINCH $!; wait $!; exit 0' TERM; ${child} & wait`;
    tell({ type: 'start', name: 'app', spec: { ...spec('sh', '-c', leader), endsItsOwn: true } });
    await new Promise<void>((resolve) => {
      heard = () => events.some((entry) => entry.type === 'log' && entry.line === 'up') && resolve();
      heard();
    });
    tell({ type: 'signal', name: 'app', signal: 'SIGTERM' });
    await event('exited', 'app');
    const lines = events.flatMap((entry) => (entry.type === 'log' ? [entry.line] : []));
    assert.deepEqual(lines, ['up', 'asked']);
  });
});
