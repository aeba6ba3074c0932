import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from '../support/free-ports.ts';

/** A running Jaeger, and where it listens. */
export interface Jaeger {
  /** Takes `POST /v1/traces`. */
  readonly otlp: string;
  /** Answers `GET /api/…`. */
  readonly query: string;
  /** Old collector: `POST /api/traces` in Thrift. */
  readonly collector: string;
  stop(): Promise<void>;
}

const run = promisify(execFile);

/**
 * The Jaeger 1.76 all-in-one: `JAEGER_BIN`, or built from its Go module as pinned in `src/go.sum` (about two minutes once).
 * Throws with the reason when neither can be had.
 */
export async function jaegerBinary(): Promise<string> {
  const given = process.env['JAEGER_BIN'];
  if (given !== undefined && given !== '') return given;
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const binary = join(cache, 'tulle', 'jaeger-1.76.0');
  if (existsSync(binary)) return binary;
  mkdirSync(dirname(binary), { recursive: true });
  const partial = `${binary}.${process.pid}`;
  const env = { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' };
  const target = 'github.com/jaegertracing/jaeger/cmd/all-in-one';
  await run('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', partial, target], {
    cwd: join(import.meta.dirname, 'src'),
    env,
    timeout: 20 * 60_000,
  });
  renameSync(partial, binary);
  return binary;
}

export async function startJaeger(binary: string): Promise<Jaeger> {
  const [otlp, grpc, query, queryGrpc, admin, collector, collectorGrpc] = await freePorts(7);
  const at = (port: number | undefined): string => `127.0.0.1:${port ?? 0}`;
  const child = spawn(
    binary,
    [
      `--collector.otlp.http.host-port=${at(otlp)}`,
      `--collector.otlp.grpc.host-port=${at(grpc)}`,
      `--query.http-server.host-port=${at(query)}`,
      `--query.grpc-server.host-port=${at(queryGrpc)}`,
      `--admin.http.host-port=${at(admin)}`,
      `--collector.http-server.host-port=${at(collector)}`,
      `--collector.grpc-server.host-port=${at(collectorGrpc)}`,
    ],
    { env: { ...process.env, SPAN_STORAGE_TYPE: 'memory' }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`Jaeger ended: ${log.slice(-500)}`)));
    child.stderr.on('data', (data: Buffer) => {
      log = (log + data.toString()).slice(-4_000);
      if (/"status":\s*"ready"/.test(log)) resolve();
    });
  });
  return {
    otlp: `http://${at(otlp)}`,
    query: `http://${at(query)}`,
    collector: `http://${at(collector)}`,
    stop: () => {
      child.kill('SIGKILL');
      return exited;
    },
  };
}
