import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { CliError, type CliContext } from './context.ts';
import { checkDemo, type DemoReport } from './demo-check.ts';
import { parseDuration } from './duration.ts';
import { runSession, untilAborted } from './mesh-session.ts';
import type { UpFlags } from './program.ts';

/** `tulle demo [DIR]`: the bookstore. With `--summary` or `--run-for`, 1 unless everything held that must hold. */
export async function runDemo(
  context: CliContext,
  dir: string | undefined,
  flags: UpFlags & { readonly summary?: string },
): Promise<number> {
  if (flags.runFor !== undefined) parseDuration(flags.runFor);
  if (flags.summary !== undefined && flags.runFor === undefined)
    throw new CliError('--summary needs --run-for: 20s is enough', 2);
  const source = join(context.dist, 'demo', 'bookstore');
  if (!existsSync(source)) throw new CliError(`the demo is not installed: ${source} is missing`);
  const folder = prepareFolder(context, source, dir);
  const shown = shorter(folder.path, relative(context.cwd, folder.path));
  const exitCode = await runSession(context, { ...flags, file: [shown] }, async ({ mesh, ended, interrupted, say }) => {
    say(`edit the YAML in ${shown} while it runs: access.yaml says who may call whom, split.yaml how versions share`);
    const since = Date.now();
    const report =
      flags.runFor === undefined
        ? undefined
        : checkDemo(mesh, since, ended, join(source, 'apps', 'probe.mjs'), context);
    await untilAborted(ended);
    if (interrupted() || !report) return 0;
    const summary = await report;
    const text = JSON.stringify(summary, undefined, 2);
    if (flags.summary !== undefined) writeFileSync(resolve(context.cwd, flags.summary), `${text}\n`);
    if (flags.output === 'json') context.stdout.write(`${JSON.stringify({ type: 'summary', ...summary })}\n`);
    else for (const line of describe(summary)) say(line);
    return summary.ok ? 0 : 1;
  });
  folder.remove();
  return exitCode;
}

function shorter(absolute: string, below: string): string {
  return below === '' ? '.' : below.startsWith('..') ? absolute : below;
}

function describe({ ok, checks }: DemoReport): readonly string[] {
  const lines = checks.map(({ name, ok: held, detail }) => `${held ? 'holds' : 'FAILS'}  ${name}: ${detail}`);
  return ['', ...lines, ok ? 'all of it holds' : 'not all of it holds'];
}

interface DemoFolder {
  readonly path: string;
  /** Takes the copy away again, when nobody changed it. */
  remove(): void;
}

/** The folder that is given when it has YAML; else a copy of the demo's in it, or in a new folder for temporary files. */
function prepareFolder({ cwd, env }: CliContext, source: string, dir: string | undefined): DemoFolder {
  const path = dir === undefined ? mkdtempSync(join(env['TMPDIR'] ?? '/tmp', 'tulle-demo-')) : resolve(cwd, dir);
  const keep = { path, remove: () => undefined };
  if (existsSync(path) && yamlFiles(path).length > 0) return keep;
  mkdirSync(path, { recursive: true });
  for (const name of yamlFiles(source)) copyFileSync(join(source, name), join(path, name));
  cpSync(join(source, 'apps'), join(path, 'apps'), { recursive: true });
  if (dir !== undefined) return keep;
  return {
    path,
    remove() {
      const same = yamlFiles(path).every((name) => isCopy(join(source, name), join(path, name)));
      if (same) rmSync(path, { recursive: true, force: true });
    },
  };
}

function yamlFiles(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
}

function isCopy(original: string, copy: string): boolean {
  return existsSync(original) && readFileSync(original).equals(readFileSync(copy));
}
