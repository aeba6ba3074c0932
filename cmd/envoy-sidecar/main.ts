import { readFileSync } from 'node:fs';
import { runEnvoySidecar } from '../../pkg/local/envoy/run-envoy-sidecar.ts';
import type { EnvoyRunnerConfig } from '../../pkg/local/envoy/runner-config.ts';
import { createLogger } from '../../pkg/observability/logger.ts';

const logger = createLogger({
  level: 'info',
  component: 'envoy-sidecar',
  write: (line) => process.stderr.write(line),
});
const write = (text: string): void => void process.stdout.write(text);
const [flag, file, ...rest] = process.argv.slice(2);
if (flag !== '--config' || file === undefined || rest.length > 0) {
  process.stderr.write('usage: envoy-sidecar --config FILE\n');
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());

try {
  const config = JSON.parse(readFileSync(file, 'utf8')) as EnvoyRunnerConfig;
  process.exit(await runEnvoySidecar(config, { logger, write }, stop.signal));
} catch (error) {
  logger.error('Envoy could not be run', { error });
  process.exit(1);
}
