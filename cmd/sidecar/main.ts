import { readFileSync } from 'node:fs';
import { createLogger } from '../../pkg/observability/logger.ts';
import type { LogLevel } from '../../pkg/observability/logger.ts';
import { decodeSidecarConfig } from '../../pkg/sidecar/config.ts';
import { runSidecar } from '../../pkg/sidecar/run-sidecar.ts';

const levels: readonly string[] = ['debug', 'info', 'warn', 'error'];
const wanted = process.env['TULLE_LOG_LEVEL'] ?? 'info';
const level = (levels.includes(wanted) ? wanted : 'info') as LogLevel;
const logger = createLogger({
  level,
  component: 'sidecar',
  write: (line) => process.stderr.write(line),
});

function fail(message: string, error: unknown): never {
  logger.error(message, { error });
  process.exit(1);
}

const [flag, file, ...rest] = process.argv.slice(2);
if (flag !== '--config' || file === undefined || rest.length > 0) {
  process.stderr.write('usage: sidecar --config FILE\n');
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}
process.on('uncaughtException', (error) => fail('the sidecar ends after an error', error));
process.on('unhandledRejection', (error) => fail('the sidecar ends after an error', error));

try {
  const { done } = await runSidecar(
    decodeSidecarConfig(readFileSync(file, 'utf8')),
    { logger, version: '0.1.0' },
    stop.signal,
  );
  await done;
  process.exit(0);
} catch (error) {
  fail('the sidecar could not start', error);
}
