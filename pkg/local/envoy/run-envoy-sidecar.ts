import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../observability/logger.ts';
import { createTracing } from '../../observability/tracing.ts';
import { readLines } from '../lines.ts';
import { callAdmin } from './admin-client.ts';
import { createConnectionLines, decodeConnectionLine, toConnectionSpan } from './connection-spans.ts';
import type { ConnectionLine, SpanContext } from './connection-spans.ts';
import { followMesh } from './follow-mesh.ts';
import type { MeshView } from './follow-mesh.ts';
import { redirectAll } from './redirect-all.ts';
import type { EnvoyRunnerConfig } from './runner-config.ts';

export interface EnvoyRunnerOptions {
  readonly logger: Logger;
  /** Takes what Envoy writes: its access log. */
  readonly write: (text: string) => void;
}

/**
 * Runs an Envoy until the signal is aborted, then drains and ends it; resolves with the exit code to end with. When
 * Envoy ends by itself so does this: whoever started it starts it again.
 */
export async function runEnvoySidecar(
  config: EnvoyRunnerConfig,
  { logger, write }: EnvoyRunnerOptions,
  signal: AbortSignal,
): Promise<number> {
  const { redirect, resource, otlp } = config;
  const stopping = new AbortController();
  const tracing = createTracing({ resource, receivers: otlp });
  const mesh = followMesh(config, logger, stopping.signal);
  try {
    if (redirect) await redirectAll(redirect.tool, redirect.port, redirect.ownIp);
    // Without a control plane it never is.
    await doneOrAborted(mesh.ready, signal);
    if (signal.aborted) return 0;
    const onConnection = (line: ConnectionLine): void => {
      const span = toConnectionSpan(line, toContext(config, mesh));
      if (span) tracing.record(span);
    };
    return await runEnvoy(config, { logger, write }, onConnection, signal);
  } finally {
    stopping.abort();
    await tracing.shutdown();
  }
}

async function runEnvoy(
  { envoy, drainMillis }: EnvoyRunnerConfig,
  { logger, write }: EnvoyRunnerOptions,
  onConnection: (line: ConnectionLine) => void,
  signal: AbortSignal,
): Promise<number> {
  // Left by one that was killed; Envoy would not start over it.
  rmSync(envoy.admin, { force: true });
  const child = spawn(envoy.program, [...envoy.args], { env: { ...envoy.env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const connections = createConnectionLines(onConnection, later);
  readLines(child.stdout, longestLine, (line) => {
    const connection = decodeConnectionLine(line);
    if (connection) connections.take(connection);
    write(`${line}\n`);
  });
  const stop = async (): Promise<void> => {
    await drain(envoy.admin, drainMillis, logger);
    child.kill('SIGTERM');
  };
  const onAbort = (): void => void stop();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, how) => {
        if (!signal.aborted) logger.warn('Envoy ended', { code, signal: how });
        resolve(signal.aborted ? 0 : (code ?? 1));
      });
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function doneOrAborted(done: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    done.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function later(milliseconds: number, task: () => void): () => void {
  const timer = setTimeout(task, milliseconds);
  return () => clearTimeout(timer);
}

const longestLine = 64 * 1024;

function toContext({ account }: EnvoyRunnerConfig, { directory, settings }: MeshView): SpanContext {
  const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex');
  return { account, directory, settings: settings(), randomHex, random: Math.random };
}

/** No new inbound connections, answers that end theirs, then a wait for what is under way, bounded (DECISIONS E9). */
async function drain(admin: string, millis: number, logger: Logger): Promise<void> {
  try {
    await callAdmin(admin, 'POST', '/healthcheck/fail');
    await callAdmin(admin, 'POST', '/drain_listeners?graceful&inboundonly&skip_exit');
    const end = Date.now() + millis;
    while (Date.now() < end && (await underWay(admin)) > 0) await delay(20);
  } catch (error) {
    logger.warn('Envoy could not be drained', { error });
  }
}

/** Requests, and connections of TCP, that came in and have not ended. */
async function underWay(admin: string): Promise<number> {
  const { body } = await callAdmin(admin, 'GET', `/stats?filter=${encodeURIComponent(inboundGauges)}`);
  let sum = 0;
  for (const [, count] of body.matchAll(/: (\d+)$/gm)) sum += Number(count);
  return sum;
}

const inboundGauges = '^(http\\.inbound/.*\\.downstream_rq_active|tcp\\.inbound/.*\\.downstream_cx_active)$';
