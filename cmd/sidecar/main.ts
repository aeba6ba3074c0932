import { readFileSync } from 'node:fs';
import { createLogger, decodeLogLevel } from '../../pkg/observability/logger.ts';
import { decodeSidecarConfig } from '../../pkg/sidecar/config.ts';
import { runSidecar } from '../../pkg/sidecar/run-sidecar.ts';
import { version } from '../version.ts';

const level = decodeLogLevel(process.env['TULLE_LOG_LEVEL']);
const write = (line: string): boolean => process.stderr.write(line);
const logger = createLogger({ level, component: 'sidecar', write });

function fail(error: unknown): never {
  logger.error('the sidecar ends after an error', { error });
  process.exit(1);
}

const [flag, file, ...rest] = process.argv.slice(2);
if (flag !== '--config' || file === undefined || rest.length > 0) {
  process.stderr.write('usage: sidecar --config FILE\n');
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => (stop.signal.aborted ? process.exit(1) : stop.abort()));
}
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

try {
  const config = decodeSidecarConfig(readFileSync(file, 'utf8'));
  const { done } = await runSidecar(config, { logger, version }, stop.signal);
  await done;
  process.exit(0);
} catch (error) {
  fail(error);
}
