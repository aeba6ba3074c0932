import { join } from 'node:path';
import type { ControllerProgram } from './controller-program.ts';
import { writeAtomically, type RunDirectory } from './run-directory.ts';

export interface NodeControllerOptions {
  readonly run: RunDirectory;
  readonly node: string;
  /** `controller.js`. */
  readonly program: string;
  /** Asked before every start: the port that it has, or another one when that is taken. */
  readonly choosePort: (current: number | undefined) => Promise<number>;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Written to control/controller.json. */
  readonly config: (port: number) => object;
}

export async function nodeController(options: NodeControllerOptions): Promise<ControllerProgram> {
  const { run, node, program, choosePort, config, env, cwd } = options;
  const file = run.file('control', 'controller.json');
  let port = await choosePort(undefined);
  return {
    get api() {
      return `http://127.0.0.1:${port}`;
    },
    async prepare() {
      port = await choosePort(port);
      writeAtomically(file, JSON.stringify(config(port), undefined, 2));
      return {
        program: node,
        args: ['--enable-source-maps', program, '--config', file],
        env,
        cwd,
        confined: false,
        log: join(run.path, 'controller.log'),
      };
    },
  };
}
