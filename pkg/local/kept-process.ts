import { createBackoff } from './backoff.ts';
import { startLauncher as startRealLauncher, type LauncherHandle, type LauncherSpawn } from './launcher-handle.ts';
import type { ProcessSpec } from './launcher-protocol.ts';
import { sendSignal } from './processes.ts';

export interface KeptProcess {
  /** Of its launcher, and its own. */
  pids(): readonly number[];
  readonly restarts: number;
  stop(): Promise<void>;
  kill(): void;
}

export interface KeptProcessOptions {
  readonly name: string;
  readonly launcher: Pick<LauncherSpawn, 'command' | 'env' | 'cwd'>;
  /** Asked again for every start. */
  readonly spec: () => Promise<ProcessSpec>;
  onStart(): void;
  onEnd(message: string, againMs: number): void;
  onLog(stream: 'out' | 'err', line: string): void;
}

/** Tests have faults and a time of their own. */
export interface KeptProcessParts {
  readonly startLauncher: (launch: LauncherSpawn) => LauncherHandle;
  readonly later: (milliseconds: number, task: () => void) => () => void;
}

/** Keeps one program of ours running, under a launcher that ends it when we end; starts it again with a backoff. */
export function keepProcess(
  options: KeptProcessOptions,
  { startLauncher, later }: KeptProcessParts = { startLauncher: startRealLauncher, later: afterwards },
): KeptProcess {
  const { name } = options;
  const backoff = createBackoff(100, 5_000);
  let handle: LauncherHandle | undefined;
  let pid: number | undefined;
  let stopping = false;
  let started = Date.now();
  let restarts = 0;
  let lastWords = '';
  let onGone: (() => void) | undefined;
  let cancel: (() => void) | undefined;

  /** Once for the program and its launcher, which often end together. */
  function again(message: string): void {
    if (stopping || cancel) return;
    backoff.lived(Date.now() - started);
    const wait = backoff.next();
    restarts += 1;
    options.onEnd(message, wait);
    cancel = later(wait, () => {
      cancel = undefined;
      if (handle) start();
      else launch();
    });
  }

  /** A launcher that was killed can't end what it started. */
  function endOrphan(): void {
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL');
    pid = undefined;
  }

  function end(): void {
    stopping = true;
    cancel?.();
    cancel = undefined;
  }

  function start(): void {
    const current = handle;
    started = Date.now();
    options.spec().then(
      (spec) => {
        // One that came after it has asked for itself.
        if (!stopping && handle === current) current?.tell({ type: 'start', name, spec });
      },
      (error: Error) => {
        if (handle === current) again(error.message);
      },
    );
  }

  function launch(): void {
    handle = startLauncher({
      ...options.launcher,
      onEvent(event) {
        switch (event.type) {
          case 'up':
            return start();
          case 'started':
            started = Date.now();
            pid = event.pid;
            return options.onStart();
          case 'failed':
            return again(event.message);
          case 'exited':
            pid = undefined;
            if (stopping) handle?.close();
            else again(`ended with ${event.code ?? event.signal}${lastWords === '' ? '' : ` (${lastWords})`}`);
            return;
          case 'log':
            lastWords = toWords(event.line);
            return options.onLog(event.stream, event.line);
          case 'probe':
        }
      },
      onExit(reason) {
        handle = undefined;
        endOrphan();
        onGone?.();
        again(reason);
      },
    });
  }

  launch();
  return {
    pids: () => [handle?.pid, pid].filter((entry) => entry !== undefined),
    get restarts() {
      return restarts;
    },
    stop() {
      end();
      if (!handle) return Promise.resolve();
      const running = handle;
      return new Promise((resolve) => {
        onGone = resolve;
        if (pid === undefined) running.close();
        else running.tell({ type: 'signal', name, signal: 'SIGTERM' });
        setTimeout(() => running.close(), 2_000).unref();
        setTimeout(() => running.kill(), 3_000).unref();
      });
    },
    kill() {
      end();
      endOrphan();
      handle?.kill();
    },
  };
}

function afterwards(milliseconds: number, task: () => void): () => void {
  const timer = setTimeout(task, milliseconds);
  return () => clearTimeout(timer);
}

/** Of a line of our own logs, what it says; of another, its start. */
function toWords(line: string): string {
  try {
    const { message, error } = JSON.parse(line) as { message?: string; error?: { message?: string } | string };
    const cause = typeof error === 'string' ? error : error?.message;
    return [message, cause]
      .filter((part) => part !== undefined)
      .join(': ')
      .slice(0, 300);
  } catch {
    return line.slice(0, 300);
  }
}
