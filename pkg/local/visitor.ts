import { startLauncher } from './launcher-handle.ts';
import type { JoinTicket } from './pod-starter.ts';
import type { SidecarProgram } from './sidecar-program.ts';

export interface VisitOptions {
  readonly ticket: JoinTicket;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Its output goes here, a file of its place; absent: it has our terminal. */
  readonly log?: string;
  readonly isReady: SidecarProgram['isReady'];
  onLine?(stream: 'out' | 'err', line: string): void;
  /** Ends it; one that has not been started then never is. */
  readonly signal?: AbortSignal;
}

export interface VisitEnd {
  /** As a shell has it: 128 and the number for one that a signal ended. */
  readonly code: number;
  /** Why it could not even start. */
  readonly failure?: string;
}

const readyMs = 15_000;
const sidecarEndMs = 2_000;

/** Runs one program as one more workload of a mesh: its sidecar first, then it, until it ends. */
export function runVisitor(options: VisitOptions): Promise<VisitEnd> {
  const { ticket, log, signal } = options;
  return new Promise((resolve) => {
    let ended = false;
    let started = false;
    const end = (result: VisitEnd): void => {
      if (ended) return;
      ended = true;
      resolve(result);
      launcher.close();
    };
    /** What its sidecar has recorded is sent when it ends in order. */
    let last: VisitEnd | undefined;
    const endAfterSidecar = (result: VisitEnd): void => {
      last = result;
      launcher.tell({ type: 'signal', name: 'sidecar', signal: 'SIGTERM' });
      setTimeout(() => end(result), sidecarEndMs).unref();
    };
    const launcher = startLauncher({
      command: ticket.launcher,
      env: ticket.launcherEnv,
      cwd: options.cwd,
      inherit: log === undefined,
      onEvent(event) {
        switch (event.type) {
          case 'up':
            launcher.tell({ type: 'start', name: 'sidecar', spec: ticket.sidecarSpec });
            return void startWhenReady();
          case 'failed':
            return end({ code: 127, failure: event.message });
          case 'exited':
            if (event.name === 'app') endAfterSidecar({ code: codeOf(event) });
            else if (last) end(last);
            else if (!ended)
              end({
                code: 1,
                failure: `its sidecar ended with ${event.code ?? event.signal}; see ${ticket.sidecarSpec.log}`,
              });
            return;
          case 'log':
            if (event.name === 'app') options.onLine?.(event.stream, event.line);
            return;
          case 'started':
          case 'probe':
        }
      },
      onExit: (reason) => end({ code: 1, failure: reason }),
    });
    const stop = (): void => {
      if (started) launcher.tell({ type: 'signal', name: 'app', signal: 'SIGTERM' });
      else end({ code: codeOf({ code: null, signal: 'SIGTERM' }) });
    };
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();

    async function startWhenReady(): Promise<void> {
      const deadline = Date.now() + readyMs;
      while (!ended && !(await options.isReady(ticket.pod).catch(() => false))) {
        if (Date.now() > deadline)
          return end({ code: 1, failure: 'its sidecar got no policy within 15 s: is the controller running?' });
        await pause(30);
      }
      // It was told to end meanwhile.
      if (ended) return;
      started = true;
      const { program, args, cwd } = options;
      const env = { ...options.env, ...ticket.env };
      launcher.tell({
        type: 'start',
        name: 'app',
        spec: { program, args, cwd, env, confined: ticket.confined, ...(log === undefined ? {} : { log }) },
      });
    }
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

function codeOf({ code, signal }: { readonly code: number | null; readonly signal: string | null }): number {
  return code ?? 128 + (signalNumbers[signal ?? ''] ?? 0);
}
