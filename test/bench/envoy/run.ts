import { spawnSync } from 'node:child_process';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { findEnvoy } from '../../../pkg/local/envoy/find-envoy.ts';
import type { Section } from '../report.ts';
import { benchAddedService } from './added-service.ts';
import { benchConfig } from './config.ts';

/** Real Envoys with Tulle's configuration. */
export async function benchEnvoy(isQuick: boolean): Promise<Section[]> {
  const cache = join(homedir(), '.cache', 'tulle');
  // A shim that starts the binary as its child would be measured in its stead.
  const packaged = spawnSync('python3', ['-c', 'import envoy; print(envoy.__file__)'], { encoding: 'utf8' });
  const folder = packaged.status === 0 ? join(dirname(packaged.stdout.trim()), '_bin') : '';
  const { program } = findEnvoy({ path: `${folder}:${process.env['PATH'] ?? ''}`, cache, fetch: true });
  return [await benchConfig(program, isQuick), await benchAddedService(program, isQuick)];
}
