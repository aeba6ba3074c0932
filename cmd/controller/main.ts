import { readFileSync } from 'node:fs';
import { decodeControllerConfig } from '../../pkg/control-plane/config.ts';
import { runController } from '../../pkg/control-plane/run-controller.ts';
import { createLogger, type LogLevel } from '../../pkg/observability/logger.ts';

const levels: readonly string[] = ['debug', 'info', 'warn', 'error'];
const wanted = process.env['TULLE_LOG_LEVEL'] ?? 'info';
const level = (levels.includes(wanted) ? wanted : 'info') as LogLevel;
const log = createLogger({ level, component: 'controller', write: (line) => process.stderr.write(line) });

function fail(message: string, error: unknown): never {
  log.error(message, { error });
  process.exit(1);
}

const [flag, file, ...rest] = process.argv.slice(2);
if (flag !== '--config' || file === undefined || rest.length > 0) {
  process.stderr.write('usage: controller --config FILE\n');
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}
process.on('uncaughtException', (error) => fail('the controller ends after an error', error));
process.on('unhandledRejection', (error) => fail('the controller ends after an error', error));

try {
  const { done } = await runController(decodeControllerConfig(readFileSync(file, 'utf8')), { log }, stop.signal);
  await done;
  process.exit(0);
} catch (error) {
  fail('the controller could not start', error);
}
