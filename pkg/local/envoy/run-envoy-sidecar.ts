import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../observability/logger.ts';
import { callAdmin } from './admin-client.ts';
import { keepNames } from './keep-names.ts';
import { redirectAll } from './redirect-all.ts';
import type { EnvoyRunnerConfig } from './runner-config.ts';

/**
 * Runs an Envoy until the signal is aborted, then drains and ends it; resolves with the exit code to end with. When
 * Envoy ends by itself so does this: whoever started it starts it again.
 */
export async function runEnvoySidecar(
  { pod, envoy, redirect, drainMillis }: EnvoyRunnerConfig,
  logger: Logger,
  signal: AbortSignal,
): Promise<number> {
  const stopping = new AbortController();
  if (redirect) {
    await redirectAll(redirect.tool, redirect.port, redirect.self.ip);
    await keepNames({ pod, redirect, logger, signal: stopping.signal });
  }
  // Left by one that was killed; Envoy would not start over it.
  rmSync(envoy.admin, { force: true });
  const child = spawn(envoy.program, [...envoy.args], {
    env: { ...envoy.env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, how) => {
      if (!signal.aborted) logger.warn('Envoy ended', { code, signal: how });
      resolve(signal.aborted ? 0 : (code ?? 1));
    });
  });
  const stop = async (): Promise<void> => {
    await drain(envoy.admin, drainMillis, logger);
    child.kill('SIGTERM');
  };
  if (signal.aborted) void stop();
  else signal.addEventListener('abort', () => void stop(), { once: true });
  try {
    return await ended;
  } finally {
    stopping.abort();
  }
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
