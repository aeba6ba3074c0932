import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { meansCluster } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import { checkDemo, type DemoMesh } from './demo-check.ts';
import { writeSummary } from './demo-summary.ts';
import { parseDuration } from './duration.ts';
import { runVisitor } from '../local/visitor.ts';
import type { LaptopMesh } from './laptop-mesh.ts';
import { getJson } from './mesh-client.ts';
import { runSession } from './mesh-session.ts';
import type { DemoFlags } from './program.ts';
import { untilAborted } from './until-aborted.ts';

/** `tulle demo [DIR]`: the bookstore. With `--summary` or `--run-for`, 1 unless everything held that must hold. */
export async function runDemo(context: CliContext, dir: string | undefined, flags: DemoFlags): Promise<number> {
  if (meansCluster(flags) || flags.keep === true || flags.registry !== undefined)
    throw new CliError('for a cluster say --kubernetes too', 2);
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
        : checkDemo(toDemoMesh(mesh, join(source, 'apps', 'probe.mjs'), context), since, ended);
    await untilAborted(ended);
    if (interrupted() || !report) return 0;
    const summary = await report;
    writeSummary(context, summary, flags, say);
    return summary.ok ? 0 : 1;
  });
  folder.remove();
  return exitCode;
}

function toDemoMesh(mesh: LaptopMesh, program: string, context: CliContext): DemoMesh {
  return {
    id: mesh.run.id,
    isolation: mesh.isolation.kind,
    probesTogether: false,
    now: Date.now,
    missing() {
      const pods = mesh.pods();
      const waiting = pods.filter(({ status }) => !status.ready).map(({ plan }) => plan.name);
      if (waiting.length > 0) return `not ready: ${waiting.join(', ')}`;
      return pods.length >= 6 ? undefined : 'no pods';
    },
    get: (path, timeoutMs) => getJson(mesh.api, path, timeoutMs),
    getAll: async <T>(path: string, timeoutMs: number) => [await getJson<T>(mesh.api, path, timeoutMs)],
    async probe(namespace, serviceAccount, args) {
      const end = new AbortController();
      const timer = setTimeout(() => end.abort(), 10_000);
      const { ticket, isReady } = await mesh.join(namespace, serviceAccount, end.signal);
      const lines: string[] = [];
      const { code, failure } = await runVisitor({
        ticket,
        program: context.node,
        args: [program, ...tcpAddress(args, ticket.env)],
        env: { PATH: context.env['PATH'] ?? '' },
        cwd: context.cwd,
        log: join(ticket.pod.dir, 'app.log'),
        isReady,
        onLine: (_, line) => lines.push(line),
        signal: end.signal,
      });
      clearTimeout(timer);
      end.abort();
      return { code, output: failure ?? lines.join(' ') };
    },
  };
}

/** By proxy a TCP service is at a loopback port, which its variable names. */
function tcpAddress(args: readonly string[], env: Readonly<Record<string, string>>): readonly string[] {
  const local = args[0] === 'tcp' ? env['TULLE_TCP_BOOKWAREHOUSE_BOOKDB_3306'] : undefined;
  return local === undefined ? args : ['tcp', ...local.split(':')];
}

function shorter(absolute: string, below: string): string {
  return below === '' ? '.' : below.startsWith('..') ? absolute : below;
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
