import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../pkg/cli/program.ts';
import { version } from '../version.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
// Whoever reads our output may stop reading.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return await terminal.question(question);
  } finally {
    terminal.close();
  }
}

const exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  platform: process.platform,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  pid: process.pid,
  node: process.execPath,
  dist: dirname(fileURLToPath(import.meta.url)),
  version,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(handler) {
    for (const signal of signals) process.on(signal, handler);
    return () => {
      for (const signal of signals) process.off(signal, handler);
    };
  },
  exit: (code) => process.exit(code),
  ...(process.stdin.isTTY && process.stdout.isTTY && { ask }),
});
process.exit(exitCode);
