import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runController } from '../control-plane/run-controller.ts';
import { createLogger, decodeLogLevel } from '../observability/logger.ts';
import { CliError, type CliContext } from './context.ts';
import { choosePort } from './laptop-mesh.ts';
import { toMeshConfig } from './mesh-config.ts';
import type { ControllerFlags } from './program.ts';

/** `tulle controller -f DIR`: the control plane alone, for clients of your own. They say who they are, and are believed. */
export async function runControllerCommand(context: CliContext, flags: ControllerFlags): Promise<number> {
  for (const file of flags.file) {
    if (!existsSync(resolve(context.cwd, file))) throw new CliError(`${file}: there is no such file or directory`, 2);
  }
  const end = new AbortController();
  const stopListening = context.onSignal(() => end.abort());
  const level = decodeLogLevel(context.env['TULLE_LOG_LEVEL']);
  const log = createLogger({ level, component: 'controller', write: (line) => context.stderr.write(line) });
  const apiPort = await choosePort(flags.port);
  const config = {
    id: 'controller',
    inputs: flags.file,
    defaultNamespace: flags.namespace,
    mesh: toMeshConfig(flags),
    isolation: 'proxy',
    openXds: `127.0.0.1:${flags.xdsPort}`,
    apiPort,
    pageDir: join(context.dist, 'page'),
    ...(flags.otlp === undefined ? {} : { otlpForward: flags.otlp }),
    protosFile: join(context.dist, 'protos.json'),
  } as const;
  try {
    const { done } = await runController(config, { log }, end.signal);
    context.stdout.write(`page http://127.0.0.1:${apiPort}\n`);
    context.stdout.write(
      `xDS  127.0.0.1:${flags.xdsPort}, plaintext: whoever connects is believed who it says it is\n`,
    );
    await done;
    return 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new CliError(`a port is in use: ${(error as Error).message}; give another --port or --xds-port`);
  } finally {
    stopListening();
  }
}
