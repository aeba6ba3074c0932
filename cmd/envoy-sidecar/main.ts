import { readFileSync } from 'node:fs';
import { runEnvoySidecar } from '../../pkg/local/envoy/run-envoy-sidecar.ts';
import { decodeEnvoyRunnerConfig } from '../../pkg/local/envoy/runner-config.ts';
import { createLogger, decodeLogLevel } from '../../pkg/observability/logger.ts';

const level = decodeLogLevel(process.env['TULLE_LOG_LEVEL']);
const logger = createLogger({ level, component: 'envoy-sidecar', write: (line) => process.stderr.write(line) });
const write = (text: string): void => void process.stdout.write(text);

/** Its Envoy is of its process group, which the launcher ends with it. */
function fail(error: unknown): never {
  logger.error('Envoy could not be run', { error });
  process.exit(1);
}

const [flag, file, ...rest] = process.argv.slice(2);
if (flag !== '--config' || file === undefined || rest.length > 0) {
  process.stderr.write('usage: envoy-sidecar --config FILE\n');
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
for (const event of ['uncaughtException', 'unhandledRejection']) process.on(event, fail);

try {
  const config = decodeEnvoyRunnerConfig(readFileSync(file, 'utf8'));
  process.exit(await runEnvoySidecar(config, { logger, write }, stop.signal));
} catch (error) {
  fail(error);
}
