import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { connect } from 'node:net';
import type { Probe, ProbeHandler, ProcessSpec } from '../launcher-protocol.ts';
import { sendSignal } from '../processes.ts';

export interface ProbeRunner {
  /** Addresses to try, in this order. */
  readonly hosts: readonly string[];
  command(spec: ProcessSpec): readonly string[];
}

/** The kubelet's probes; calls back when the answer changes, until the signal ends it. */
export function runProbe(
  probe: Probe,
  runner: ProbeRunner,
  signal: AbortSignal,
  onChange: (ready: boolean, message: string) => void,
): void {
  let ready: boolean | undefined;
  let streak = 0;
  let last: boolean | undefined;
  const started = Date.now();

  const check = async (): Promise<void> => {
    // What can't even be asked, a path with a space or a command with a NUL, has failed like any other.
    const message = await runHandler(probe.handler, probe.timeoutMs, runner, signal).catch(
      (error: Error) => error.message || 'it can not be asked',
    );
    if (signal.aborted) return;
    const success = message === undefined;
    streak = success === last ? streak + 1 : 1;
    last = success;
    const settled = probe.counted === true || ready === true;
    const enough = streak >= (success ? probe.successThreshold : settled ? probe.failureThreshold : 1);
    if (enough && success !== ready) {
      ready = success;
      onChange(success, message ?? '');
    }
    schedule(pauseAfter(success));
  };
  // Before the first success the kubelet's period would only make the start slow.
  const pauseAfter = (success: boolean): number => {
    if (success || probe.counted === true) return probe.periodMs;
    const fast = probe.eager || Date.now() - started < 10_000;
    return ready !== true && fast ? Math.min(100, probe.periodMs) : probe.periodMs;
  };
  let timer: NodeJS.Timeout | undefined;
  const schedule = (ms: number): void => {
    timer = setTimeout(() => void check(), ms);
  };
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  schedule(probe.initialDelayMs);
}

/** What is wrong, or undefined. */
async function runHandler(
  handler: ProbeHandler,
  timeoutMs: number,
  runner: ProbeRunner,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (handler.kind === 'exec') return runCommand(handler.spec, timeoutMs, runner, signal);
  const hosts = handler.host === undefined ? runner.hosts : [handler.host];
  let message: string | undefined = 'no address';
  for (const host of hosts) {
    message = await (handler.kind === 'tcp'
      ? canConnect(host, handler.port, timeoutMs)
      : answersWell(host, handler, timeoutMs));
    if (message === undefined) return undefined;
  }
  return message;
}

function canConnect(host: string, port: number, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (message?: string): void => {
      resolve(message);
      socket.destroy();
    };
    socket.setTimeout(timeoutMs, () => end(`no answer from port ${port} within ${timeoutMs} ms`));
    socket.once('connect', () => end());
    socket.once('error', (error) => end(error.message));
  });
}

function answersWell(
  host: string,
  { port, path, tls, headers }: Extract<ProbeHandler, { kind: 'http' }>,
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { host, port, path, headers: { 'user-agent': 'kube-probe/1.34', connection: 'close', ...headers } };
    const onAnswer = (status: number): void => resolve(status >= 200 && status < 400 ? undefined : `HTTP ${status}`);
    const call = tls
      ? tlsRequest({ ...options, rejectUnauthorized: false, agent: false }, (answer) => {
          answer.resume();
          onAnswer(answer.statusCode ?? 0);
        })
      : request({ ...options, agent: false }, (answer) => {
          answer.resume();
          onAnswer(answer.statusCode ?? 0);
        });
    call.setTimeout(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.once('error', (error) => resolve(error.message));
    call.end();
  });
}

/** Nothing that it starts outlives its time, or its pod. */
function runCommand(
  spec: ProcessSpec,
  timeoutMs: number,
  runner: ProbeRunner,
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const [program = '', ...args] = runner.command(spec);
    const child = spawn(program, args, { cwd: spec.cwd, env: { ...spec.env }, stdio: 'ignore', detached: true });
    const kill = (): void => {
      if (child.pid !== undefined) sendSignal(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(kill, timeoutMs);
    signal.addEventListener('abort', kill, { once: true });
    const end = (message?: string): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
      resolve(message);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, how) => end(code === 0 ? undefined : `ended with ${code ?? how}`));
  });
}
