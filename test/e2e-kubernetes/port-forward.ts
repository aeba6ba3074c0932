import { spawn } from 'node:child_process';

export interface Forward {
  readonly port: number;
  stop(): Promise<void>;
}

/** `kubectl port-forward` on a free port of 127.0.0.1. */
export async function portForward(namespace: string, what: string, port: number): Promise<Forward> {
  const child = spawn('kubectl', ['port-forward', '-n', namespace, '--address', '127.0.0.1', what, `:${port}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let told = '';
  const local = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`port-forward ${what}: ${told}`)), 20_000);
    const read = (chunk: Buffer): void => {
      told += chunk.toString();
      const [, found] = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(told) ?? [];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(Number(found));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', () => reject(new Error(`port-forward ${what}: ${told}`)));
  });
  return {
    port: local,
    stop: () => {
      child.kill('SIGTERM');
      return exited;
    },
  };
}
