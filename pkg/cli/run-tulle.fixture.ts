import type { CliContext } from './context.ts';

export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command with what it takes of the process made up, and keeps what it writes. */
export async function runTulle(
  given: Partial<CliContext> & Pick<CliContext, 'cwd'>,
  ...argv: readonly string[]
): Promise<Ran> {
  let out = '';
  let err = '';
  const context: CliContext = {
    env: { XDG_RUNTIME_DIR: given.cwd },
    platform: 'linux',
    uid: 0,
    gid: 0,
    pid: 1,
    node: '',
    dist: given.cwd,
    version: '0.1.0',
    stdout: { write: (text) => ((out += text), true) },
    stderr: { write: (text) => ((err += text), true) },
    onSignal: () => () => undefined,
    exit: (code) => {
      throw new Error(`exit ${code}`);
    },
    ...given,
  };
  // As the commands themselves are loaded: what is thrown in one must be known in the other.
  const { runCli } = await import('./program.ts');
  return { exitCode: await runCli(argv, context), out, err };
}
