import { readFileSync } from 'node:fs';
import { decodeControllerConfig } from '../../pkg/control-plane/config.ts';
import { runController, toApiServer } from '../../pkg/control-plane/run-controller.ts';
import { createLogger, decodeLogLevel } from '../../pkg/observability/logger.ts';
import { build, version } from '../version.ts';

const level = decodeLogLevel(process.env['TULLE_LOG_LEVEL']);
const log = createLogger({ level, component: 'controller', write: (line) => process.stderr.write(line) });

function fail(error: unknown): never {
  log.error('the controller ends after an error', { error });
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
    // Whatever hangs then: a process that is killed leaves its lease behind.
    setTimeout(() => process.exit(1), stop.signal.aborted ? 0 : 4_500).unref();
    stop.abort();
  });
}
for (const event of ['uncaughtException', 'unhandledRejection']) process.on(event, fail);

try {
  const config = decodeControllerConfig(readFileSync(file, 'utf8'));
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  const apiServer = toApiServer(host, port);
  const options = { log, version, build, ...(apiServer === undefined ? {} : { apiServer }) };
  const { done } = await runController(config, options, stop.signal);
  await done;
  process.exit(0);
} catch (error) {
  fail(error);
}
