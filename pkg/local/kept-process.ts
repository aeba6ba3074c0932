import { createBackoff } from './backoff.ts';
import { startLauncher, type LauncherHandle, type LauncherSpawn } from './launcher-handle.ts';
import type { ProcessSpec } from './launcher-protocol.ts';

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
  readonly spec: () => ProcessSpec;
  onStart(): void;
  onEnd(message: string, againMs: number): void;
  onLog(stream: 'out' | 'err', line: string): void;
}

/** Keeps one program of ours running, under a launcher that ends it when we end; starts it again with a backoff. */
export function keepProcess(options: KeptProcessOptions): KeptProcess {
  const { name } = options;
  const backoff = createBackoff(100, 5_000);
  let handle: LauncherHandle | undefined;
  let pid: number | undefined;
  let stopping = false;
  let started = Date.now();
  let restarts = 0;
  let onGone: (() => void) | undefined;

  function again(message: string): void {
    backoff.lived(Date.now() - started);
    const wait = backoff.next();
    restarts += 1;
    options.onEnd(message, wait);
    setTimeout(() => {
      if (stopping) return;
      if (handle) handle.tell({ type: 'start', name, spec: options.spec() });
      else launch();
    }, wait);
  }

  function launch(): void {
    handle = startLauncher({
      ...options.launcher,
      onEvent(event) {
        switch (event.type) {
          case 'up':
            return handle?.tell({ type: 'start', name, spec: options.spec() });
          case 'started':
            started = Date.now();
            pid = event.pid;
            return options.onStart();
          case 'failed':
            return again(event.message);
          case 'exited':
            pid = undefined;
            if (stopping) handle?.close();
            else again(`ended with ${event.code ?? event.signal}`);
            return;
          case 'log':
            return options.onLog(event.stream, event.line);
          case 'readiness':
        }
      },
      onExit(reason) {
        handle = undefined;
        pid = undefined;
        onGone?.();
        if (!stopping) again(reason);
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
      stopping = true;
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
      stopping = true;
      handle?.kill();
    },
  };
}
