import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { benchCluster } from './cluster/run.ts';
import { benchControlPlane, benchSecured } from './control-plane/run.ts';
import { benchSlow } from './control-plane/slow.ts';
import { benchEnvoy } from './envoy/run.ts';
import { benchFolder, monotonic, progress, stopAll } from './processes.ts';
import { readFindings } from './findings.ts';
import { benchHttp, toHttpOptions } from './http1/bench-http.ts';
import { type Section, toMarkdown } from './report.ts';
import type { Size } from './size.ts';

// BENCH=quick: some minutes; BENCH=tiny: does it run at all, printed and not written; BENCH=text: measures nothing, writes
// the report anew. BENCH_ONLY=envoy,tcp: these cases alone, beside what was measured of the others before.
// BENCH_ONLY=control-plane:1000x1000-enforce: a part of a case, printed and not written.
const wantedSize = process.env['BENCH'] ?? 'full';
const size: Size = wantedSize === 'tiny' || wantedSize === 'quick' ? wantedSize : 'full';
const isQuick = size !== 'full';
const [onlyCases, part] = (process.env['BENCH_ONLY'] ?? '').split(':');
const only = (onlyCases ?? '').split(',').filter((name) => name !== '');
const isWritten = part === undefined && size !== 'tiny';
const root = join(import.meta.dirname, '../..');
/** What is known of each case. */
const resultsFile = join(benchFolder, 'results.json');
const findingsFile = join(import.meta.dirname, 'where-the-time-goes.md');

interface Result {
  readonly when: string;
  readonly run: string;
  readonly commit?: string;
  /** Load average before and after. */
  readonly load: string;
  readonly sections: readonly Section[];
}

const cases: Readonly<Record<string, () => Promise<Section[]>>> = {
  http1: () => benchHttp(toHttpOptions('http1', size)),
  http2: () => benchHttp(toHttpOptions('http2', size)),
  grpc: () => benchHttp(toHttpOptions('grpc', size)),
  tcp: () => benchHttp(toHttpOptions('tcp', size)),
  envoy: () => benchEnvoy(isQuick),
  'control-plane': () => benchControlPlane(size, part),
  'control-plane-tls': () => benchSecured(size),
  slow: async () => [await benchSlow(size)],
  cli: async () => [await runProgram('Command line', 'cli.ts', 'Medians of seven runs.', {})],
  // Only when asked for: it needs a cluster (`make bench-cluster`).
  cluster: () => benchCluster(isQuick),
};

/** A case that is a program of its own and prints a table, or lines. */
async function runProgram(
  title: string,
  file: string,
  text: string,
  settings: Readonly<Record<string, string>>,
): Promise<Section> {
  const path = join(import.meta.dirname, file);
  const section = { title, text, heads: [], rows: [], goals: [] };
  const child = spawn(process.execPath, ['--import', 'tsx', path], {
    cwd: root,
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 1_800_000,
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  progress(output);
  if (code !== 0) throw new Error(`${file} ended with ${code ?? 'a signal'}`);
  const table = output.trimStart().startsWith('|') ? output.trim() : `\`\`\`text\n${output.trimEnd()}\n\`\`\``;
  return { ...section, text: `${text}\n\n${table}` };
}

function toDocument(results: Readonly<Record<string, Result>>): string {
  const [processor] = cpus();
  const envoy = spawnSync('envoy', ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules/@grpc/grpc-js/package.json'), 'utf8')) as {
    version: string;
  };
  const facts: [string, string][] = [
    [
      'machine',
      `${cpus().length} × ${processor?.model ?? ''}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`,
    ],
    ['Node', process.version],
    ['grpc-js', version],
    ['Envoy', /version: \w+\/([\d.]+)/.exec(envoy)?.[1] ?? 'none'],
  ];
  const known = Object.keys(cases).flatMap((name) => (results[name] ? [{ name, ...results[name] }] : []));
  const sections = known.flatMap((result) => result.sections);
  const goals = sections.flatMap((section) => section.goals);
  const missed = goals.filter(({ met }) => !met);
  const findings = readFindings(findingsFile);
  warnOfFindings(sections, findings);
  return [
    '# Performance',
    'Written by `make bench` (`BENCH=quick` for some minutes). Each case is measured beside its peer in the same run, in turns; what counts are the ratios, and CPU before time. Where the load average is above 1, others used the machine meanwhile, and times are upper bounds.',
    ['| | |', '| --- | --- |', ...facts.map(([name, value]) => `| ${name} | ${value} |`)].join('\n'),
    [
      ['case', 'measured', 'commit', 'run', 'load average before and after'],
      ['---', '---', '---', '---', '---'],
      ...known.map(({ name, when, commit = '', run, load }) => [name, when, commit, run, load]),
    ]
      .map((cells) => `| ${cells.join(' | ')} |`)
      .join('\n'),
    `Goals met: ${goals.length - missed.length} of ${goals.length}.`,
    ...sections.map((section) => toMarkdown(section, findings.get(section.title))),
  ].join('\n\n');
}

function warnOfFindings(sections: readonly Section[], findings: ReadonlyMap<string, string>): void {
  for (const title of findings.keys()) {
    if (!sections.some((section) => section.title === title))
      progress(`nothing is known of "${title}"; its findings are left out`);
  }
  for (const { title, goals } of sections) {
    if (goals.some(({ met }) => !met) && !findings.has(title)) {
      progress(`"${title}" misses a goal: say why in ${basename(findingsFile)}`);
    }
  }
}

function readResults(): Record<string, Result> {
  return existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')) as Record<string, Result>) : {};
}

/** With a plus where something was not committed. */
function currentCommit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'pkg', 'cmd', 'test/bench');
  return `${git('rev-parse', '--short', 'HEAD')}${changed === '' ? '' : '+'}`;
}

/** Undefined: it failed, and what was measured before stays. */
async function runCase(name: string, run: () => Promise<Section[]>): Promise<Result | undefined> {
  const load = (): string => (loadavg()[0] ?? 0).toFixed(1);
  const before = load();
  const start = monotonic();
  const when = new Date().toISOString().slice(0, 16).replace('T', ' ');
  const commit = currentCommit();
  let sections: Section[];
  try {
    sections = await run();
  } catch (error) {
    // The others are worth their time all the same.
    progress(`${name} failed: ${error instanceof Error ? error.stack : String(error)}`);
    process.exitCode = 1;
    return undefined;
  } finally {
    await stopAll();
  }
  progress(`   ${name} took ${((monotonic() - start) / 1000).toFixed(0)} s`);
  return { when, run: size, commit, load: `${before}, ${load()}`, sections };
}

for (const name of only)
  if (!(name in cases)) throw new Error(`there is no case "${name}": ${Object.keys(cases).join(', ')}`);
mkdirSync(benchFolder, { recursive: true });
for (const [name, run] of wantedSize === 'text' ? [] : Object.entries(cases)) {
  if (only.length > 0 ? !only.includes(name) : name === 'cluster') continue;
  progress(`== ${name}`);
  const result = await runCase(name, run);
  if (!result) continue;
  if (isWritten) writeFileSync(resultsFile, JSON.stringify({ ...readResults(), [name]: result }));
  else process.stdout.write(`${result.sections.map((section) => toMarkdown(section)).join('\n\n')}\n`);
}
if (isWritten) writeFileSync(join(root, 'docs/performance.md'), `${toDocument(readResults())}\n`);
