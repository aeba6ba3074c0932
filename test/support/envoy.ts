import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { toBootstrap, toSecretFiles } from '../../pkg/envoy-config/bootstrap.ts';
import type { Bootstrap, BootstrapOptions } from '../../pkg/envoy-config/bootstrap.ts';

export interface RunningEnvoy {
  readonly process: ChildProcess;
  /** All that it wrote: warnings on stderr, access log on stdout. */
  readonly output: () => string;
  readonly admin: (path: string, method?: string) => Promise<{ status: number; body: string }>;
  readonly stop: () => Promise<void>;
}

export interface EnvoyRun extends Omit<BootstrapOptions, 'admin'> {
  readonly program: string;
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/** Starts Envoy and gives it back once it says ready. */
export async function startEnvoy(run: EnvoyRun): Promise<RunningEnvoy> {
  mkdirSync(run.directory, { recursive: true, mode: 0o700 });
  const socket = join(run.directory, 'admin.sock');
  const bootstrap = withEagerSpans(toBootstrap({ ...run, admin: { pipe: { path: socket } } }));
  const file = join(run.directory, 'envoy.json');
  writeFileSync(file, JSON.stringify(bootstrap));
  for (const [name, content] of Object.entries(run.xdsTrust ? toSecretFiles(run.xdsTrust) : {})) {
    writeFileSync(join(run.directory, name), JSON.stringify(content));
  }
  const args = [
    '-c',
    file,
    '--disable-hot-restart',
    '--concurrency',
    '1',
    '-l',
    'warning',
    '--drain-time-s',
    '2',
    '--file-flush-interval-msec',
    '50',
  ];
  const child = spawn(run.program, [...args, ...(run.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...run.env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const admin: RunningEnvoy['admin'] = (path, method = 'GET') => call(socket, path, method);
  try {
    await until(
      async () => {
        if (child.exitCode !== null) throw new Error(`Envoy ended: ${output}`);
        return (await admin('/ready').catch(() => undefined))?.status === 200;
      },
      () => output,
    );
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return {
    process: child,
    output: () => output,
    admin,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Each span is sent at once. */
function withEagerSpans(bootstrap: Bootstrap): Bootstrap {
  const layers = bootstrap.layered_runtime.layers.map(({ name, static_layer }) => ({
    name,
    static_layer: { ...static_layer, 'tracing.opentelemetry.min_flush_spans': 1 },
  }));
  return { ...bootstrap, layered_runtime: { layers } };
}

/** Asks until it is so, at most 20 s. */
export async function until(ask: () => Promise<boolean> | boolean, why: () => string = () => ''): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await ask())) {
    if (Date.now() > end) throw new Error(`not so after 20 s ${why()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function call(socketPath: string, path: string, method: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const req = request({ socketPath, path, method, agent: false }, (res) => {
      let body = '';
      res.on('data', (chunk: Buffer) => (body += chunk.toString()));
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body }));
    });
    req.on('error', reject);
    req.end();
  });
}
