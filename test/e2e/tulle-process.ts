import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const dist = join(import.meta.dirname, '..', '..', 'dist');
export const command = join(dist, 'tulle.js');

export interface RunningTulle {
  readonly child: ChildProcess;
  /** Everything that it printed. */
  output(): string;
  /** Resolves with the first line, printed before or from now on, that the pattern finds. */
  line(pattern: RegExp, ms?: number): Promise<string>;
  /** Resolves with its exit code. */
  readonly ended: Promise<number>;
  /** Ctrl-C, and waits. */
  stop(): Promise<number>;
}

export interface TulleOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Its standard input. */
  readonly input?: string;
}

/** A run directory of its own for each test: what it leaves behind is the test's to see. */
export function makeFolder(name: string): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `t-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

const running = new Set<ChildProcess>();

/** Ends what a test that failed has left running: the next one would find its mesh. */
export async function endStarted(): Promise<void> {
  await Promise.all(
    [...running].map((child) => {
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGINT');
      return ended;
    }),
  );
}

export function startTulle(args: readonly string[], { cwd, env, input = '' }: TulleOptions = {}): RunningTulle {
  if (!existsSync(command)) throw new Error('dist/tulle.js is missing: make build');
  const child = spawn(process.execPath, [command, ...args], {
    cwd: cwd ?? tmpdir(),
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('close', () => running.delete(child));
  child.stdin.end(input);
  let text = '';
  const waiting = new Set<() => void>();
  const hear = (chunk: string): void => {
    text += chunk;
    for (const look of [...waiting]) look();
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  const ended = new Promise<number>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? 0 : 128)));
  });
  void ended.then(() => hear(''));
  return {
    child,
    output: () => text,
    ended,
    line: (pattern, ms = 20_000) =>
      new Promise((resolve, reject) => {
        const finish = (error?: Error, line = ''): void => {
          clearTimeout(timer);
          waiting.delete(look);
          if (error) reject(error);
          else resolve(line);
        };
        const look = (): void => {
          const found = text.split('\n').find((line) => pattern.test(line));
          if (found !== undefined) finish(undefined, found);
          else if (child.exitCode !== null)
            finish(new Error(`it ended with ${child.exitCode}; no line matches ${pattern}:\n${text}`));
        };
        const timer = setTimeout(() => finish(new Error(`no line matches ${pattern} within ${ms} ms:\n${text}`)), ms);
        waiting.add(look);
        look();
      }),
    stop() {
      child.kill('SIGINT');
      return ended;
    },
  };
}

/** Runs it to its end. */
export async function tulle(
  args: readonly string[],
  options: TulleOptions = {},
): Promise<{ code: number; output: string }> {
  const running = startTulle(args, options);
  const code = await running.ended;
  return { code, output: running.output() };
}

/** Asks again until the answer is there; no longer than `ms`. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  ms = 15_000,
): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
