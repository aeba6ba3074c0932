import { join } from 'node:path';
import type { ControllerProgram } from './controller-program.ts';
import { writeAtomically, type RunDirectory } from './run-directory.ts';

export interface NodeControllerOptions {
  readonly run: RunDirectory;
  readonly node: string;
  /** `controller.js`. */
  readonly program: string;
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Written to control/controller.json. */
  readonly config: object;
}

export function nodeController(options: NodeControllerOptions): ControllerProgram {
  const { run, node, program, port, env, cwd } = options;
  const file = run.file('control', 'controller.json');
  return {
    api: `http://127.0.0.1:${port}`,
    prepare() {
      writeAtomically(file, JSON.stringify(options.config, undefined, 2));
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
