import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const program = join(import.meta.dirname, '../../dist/tulle.js');

/** The command line as its users have it, with the cluster of KUBECONFIG. */
export async function tulle(...args: readonly string[]): Promise<{ code: number; out: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, ...args], { timeout: 120_000 });
    return { code: 0, out: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr, message } = error as Error & { code?: number; stdout?: string; stderr?: string };
    return { code: code ?? -1, out: `${stdout ?? ''}${stderr ?? ''}` || message };
  }
}

/** The same, for a command that goes on until it is told to end. */
export function startTulle(...args: readonly string[]): {
  readonly child: ChildProcessWithoutNullStreams;
  readonly out: () => string;
  readonly exited: Promise<number | null>;
} {
  const child = spawn(process.execPath, [program, ...args]);
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
  return { child, out: () => out, exited: new Promise((resolve) => child.once('exit', resolve)) };
}
