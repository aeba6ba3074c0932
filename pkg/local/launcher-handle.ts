import { spawn } from 'node:child_process';
import { PassThrough, type Duplex } from 'node:stream';
import { readJsonLines, writeJsonLine } from './json-lines.ts';
import {
  controlDescriptor,
  type LauncherCommand,
  type LauncherEvent,
  type LauncherOptions,
} from './launcher-protocol.ts';

export interface LauncherHandle {
  readonly pid: number;
  tell(command: LauncherCommand): void;
  /** Closes its socket: it kills what it started and ends. */
  close(): void;
  kill(): void;
}

export interface LauncherSpawn {
  /** `node dist/launcher.js`, wrapped in namespaces or not. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The standard streams of apps without a log are ours. */
  readonly inherit?: boolean;
  onEvent(event: LauncherEvent): void;
  /** It ended; what it wrote to stderr last tells why. */
  onExit(reason: string): void;
}

export function launcherCommand(node: string, launcher: string, options: LauncherOptions): readonly string[] {
  return [node, launcher, JSON.stringify(options)];
}

export function startLauncher(launch: LauncherSpawn): LauncherHandle {
  const { command, env, cwd, inherit } = launch;
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd,
    env: { ...env },
    stdio: inherit === true ? ['inherit', 'inherit', 'inherit', 'pipe'] : ['ignore', 'ignore', 'pipe', 'pipe'],
    // Signals of the terminal are for us: it ends when we say so.
    detached: inherit !== true,
  });
  let complaint = '';
  let ended = false;
  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    launch.onExit(reason);
  };
  // Where no more files can be opened it has no streams at all; what is to be said then goes nowhere.
  const streams = child.stdio as typeof child.stdio | undefined;
  const control = (streams?.[controlDescriptor] ?? new PassThrough().resume()) as Duplex;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
  child.once('error', (error) => end(error.message));
  child.once('close', (code, signal) => end(complaint.trim() || `ended with ${code ?? signal}`));
  control.on('error', () => undefined);
  readJsonLines(control, (message) => launch.onEvent(message as LauncherEvent));
  return {
    pid: child.pid ?? 0,
    tell: (message) => void writeJsonLine(control, message),
    close: () => control.end(),
    kill: () => void child.kill('SIGKILL'),
  };
}
