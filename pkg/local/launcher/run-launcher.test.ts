import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { readJsonLines, writeJsonLine } from '../json-lines.ts';
import type { LauncherCommand, LauncherEvent, ProcessSpec } from '../launcher-protocol.ts';
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
});
