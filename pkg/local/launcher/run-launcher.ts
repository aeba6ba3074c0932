import { spawn, type ChildProcess } from 'node:child_process';
import { kill } from 'node:process';
import type { Duplex } from 'node:stream';
import { readJsonLines, writeJsonLine } from '../json-lines.ts';
import type { LauncherCommand, LauncherEvent, LauncherOptions, ProbeKind, ProcessSpec } from '../launcher-protocol.ts';
import { readLines } from '../lines.ts';
import { confinedCommand, confinedProgram } from './confine.ts';
import { shareLogFile, type LogFile } from './log-file.ts';
import { runProbe } from './probe.ts';
import { runRelay } from './relay.ts';

const longestLogLine = 16 * 1024;
const probeKinds: readonly ProbeKind[] = ['readiness', 'liveness', 'startup'];

/** Does what the supervisor says over `control`; returns when it is closed, with everything that was started killed. */
export function runLauncher(control: Duplex, options: LauncherOptions): Promise<void> {
  const running = new Map<string, { readonly child: ChildProcess; readonly spec: ProcessSpec }>();
  const probes = new Map<string, AbortController>();
  const tell = (event: LauncherEvent): boolean => writeJsonLine(control, event);
  const { confine, hosts } = options;
  const isConfined = (spec: ProcessSpec): boolean => spec.confined && confine !== undefined;
  const commandOf = (spec: ProcessSpec): readonly string[] =>
    confine !== undefined && spec.confined ? confinedCommand(spec, confine) : [spec.program, ...spec.args];

  function start(name: string, spec: ProcessSpec): void {
    const [program = '', ...args] = commandOf(spec);
    const inherits = spec.log === undefined;
    const log = spec.log === undefined ? undefined : shareLogFile(spec.log);
    let child: ChildProcess;
    try {
      child = spawn(program, args, {
        cwd: spec.cwd,
        env: { ...spec.env },
        stdio: inherits ? 'inherit' : ['ignore', 'pipe', 'pipe'],
        // A group of its own: what the app starts ends with it. One with our terminal stays in the foreground.
        detached: !inherits,
      });
    } catch (error) {
      log?.close();
      throw error;
    }
    running.set(name, { child, spec });
    child.once('spawn', () => tell({ type: 'started', name, pid: child.pid ?? 0 }));
    child.once('error', (error) => {
      if (running.get(name)?.child !== child || child.pid !== undefined) return;
      running.delete(name);
      tell({ type: 'failed', name, message: error.message });
    });
    child.once('exit', (code, signal) => {
      if (running.get(name)?.child === child) running.delete(name);
      if (!isConfined(spec) && !inherits) signalGroup(child, 'SIGKILL');
      tell({ type: 'exited', name, code, signal });
    });
    if (log) keepOutput(name, child, log, spec.logPrefix ?? '');
  }

  function keepOutput(name: string, child: ChildProcess, log: LogFile, prefix: string): void {
    const outputs = [
      { stream: 'out', readable: child.stdout },
      { stream: 'err', readable: child.stderr },
    ] as const;
    for (const { stream, readable } of outputs) {
      if (!readable) continue;
      readLines(readable, longestLogLine, (line) => {
        log.write(prefix + line);
        if (options.forwardLogs && !tell({ type: 'log', name, stream, line })) {
          readable.pause();
          control.once('drain', () => readable.resume());
        }
      });
    }
    child.once('close', () => log.close());
  }

  function signalProcess(name: string, signal: NodeJS.Signals): void {
    const { child, spec } = running.get(name) ?? {};
    if (child?.pid === undefined || !spec) return;
    const confined = isConfined(spec);
    // Killing `unshare` kills the first process of the namespace, and with it all others.
    const program = confined && signal !== 'SIGKILL' ? confinedProgram(child.pid) : undefined;
    if (program !== undefined) safeKill(program, signal);
    else if (confined) child.kill('SIGKILL');
    else if (spec.endsItsOwn === true && signal !== 'SIGKILL') child.kill(signal);
    else signalGroup(child, signal);
  }

  function unwatch(name: string, kind: ProbeKind): void {
    probes.get(`${kind} ${name}`)?.abort();
    probes.delete(`${kind} ${name}`);
  }

  function obey(command: LauncherCommand): void {
    switch (command.type) {
      case 'start':
        // A second one would hide the first, which nobody could end any more.
        if (running.has(command.name)) return;
        try {
          start(command.name, command.spec);
        } catch (error) {
          // Arguments that are too long, or a log that can't be opened: the others of the pod go on.
          tell({ type: 'failed', name: command.name, message: (error as Error).message });
        }
        return;
      case 'signal':
        return signalProcess(command.name, command.signal);
      case 'watch': {
        const { name, kind, probe } = command;
        unwatch(name, kind);
        const end = new AbortController();
        probes.set(`${kind} ${name}`, end);
        return runProbe(probe, { hosts, command: commandOf }, end.signal, (success, message) =>
          tell({ type: 'probe', name, kind, success, message }),
        );
      }
      case 'unwatch':
        for (const kind of command.kind ? [command.kind] : probeKinds) unwatch(command.name, kind);
        return;
      case 'relay':
        runRelay(command.socket, hosts, command.port).on('error', () => {
          // The address on the user's machine then answers nothing; the mesh goes on.
        });
    }
  }

  return new Promise((resolve) => {
    readJsonLines(control, (message) => obey(message as LauncherCommand));
    const end = (): void => {
      for (const probe of probes.values()) probe.abort();
      for (const name of running.keys()) signalProcess(name, 'SIGKILL');
      resolve();
    };
    control.once('close', end);
    control.once('end', end);
    control.on('error', end);
    tell({ type: 'up' });
  });
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  if (!safeKill(-child.pid, signal)) child.kill(signal);
}

function safeKill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}
