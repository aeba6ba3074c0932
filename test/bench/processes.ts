import { fork } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import type { Answer, Question } from './answer.ts';

/** A process of the benchmark that answers questions; it is ended by its id, at the latest when its time is over. */
export interface BenchProcess {
  readonly pid: number;
  ask<T>(kind: string, argument?: unknown): Promise<T>;
  stop(): Promise<void>;
}

/** Where everything goes that a run writes. */
export const benchFolder = join(import.meta.dirname, '../../build/bench');

const minutes = 60_000;
const patience = 90_000;

/** Bundles programs as the product is bundled: without, the loader of TypeScript would be measured. */
export async function bundle(entryPoints: readonly string[]): Promise<ReadonlyMap<string, string>> {
  mkdirSync(benchFolder, { recursive: true });
  await build({
    entryPoints: [...entryPoints],
    outdir: benchFolder,
    outbase: import.meta.dirname,
    entryNames: '[dir]-[name]',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    // As the product: what is only imported when it is needed is a file of its own.
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minifySyntax: true,
    logLevel: 'error',
    banner: {
      js: [
        "import { createRequire as benchRequire } from 'node:module';",
        "import { fileURLToPath as benchPath } from 'node:url';",
        'const require = benchRequire(import.meta.url);',
        'const __filename = benchPath(import.meta.url);',
        "const __dirname = benchPath(new URL('.', import.meta.url));",
      ].join(''),
    },
  });
  return new Map(
    entryPoints.map((file) => {
      const name = basename(file, '.ts');
      const folder = file.slice(import.meta.dirname.length + 1).split('/')[0] ?? '';
      return [`${folder}/${name}`, join(benchFolder, `${folder}-${name}.mjs`)];
    }),
  );
}

const running = new Set<BenchProcess>();

export function launch(program: string, args: readonly string[], timeLimit = 10 * minutes): BenchProcess {
  const profile = process.env['BENCH_PROFILE'] === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${benchFolder}`];
  const child = fork(program, [...args], { execArgv: profile, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const open = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let count = 0;
  const kill = setTimeout(() => child.kill('SIGKILL'), timeLimit);
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      clearTimeout(kill);
      running.delete(self);
      const error = new Error(`${basename(program)} ended with ${code ?? signal}`);
      for (const { reject } of open.values()) reject(error);
      open.clear();
      resolve();
    });
  });
  child.on('message', (answer: Answer) => {
    const question = open.get(answer.id);
    open.delete(answer.id);
    if (answer.error === undefined) question?.resolve(answer.value as never);
    else question?.reject(new Error(`${basename(program)}: ${answer.error}`));
  });
  const self: BenchProcess = {
    pid: child.pid ?? 0,
    ask(kind, argument) {
      const id = ++count;
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          open.delete(id);
          reject(new Error(`${basename(program)}: no answer to "${kind}" in ${patience / 1000} s`));
        }, patience);
        open.set(id, {
          resolve: (value) => {
            clearTimeout(late);
            resolve(value);
          },
          reject: (error) => {
            clearTimeout(late);
            reject(error);
          },
        });
        child.send({ id, kind, argument } satisfies Question);
      });
    },
    async stop() {
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), profile.length > 0 ? 60_000 : 5_000);
      await exited;
      clearTimeout(hard);
    },
  };
  running.add(self);
  return self;
}

export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((each) => each.stop()));
}

/** User and system time of a process, in seconds; hundredths of them. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export function rssMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Milliseconds of the machine's monotonic clock: the same in all processes. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Of an even number of values: what is in the middle of the two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2;
}

export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}
