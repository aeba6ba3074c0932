import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { benchCluster } from './cluster/run.ts';
import { benchControlPlane } from './control-plane/run.ts';
import { benchEnvoy } from './envoy/run.ts';
import { benchFolder, progress, stopAll } from './processes.ts';
import { type Section, toMarkdown } from './report.ts';

// BENCH=quick: a few minutes. BENCH_ONLY=envoy: this case alone, beside what was measured of the others before.
// BENCH_ONLY=control-plane:1000x1000-enforce: a part of a case, printed and not written.
const isQuick = process.env['BENCH'] === 'quick';
const [only, part] = (process.env['BENCH_ONLY'] ?? '').split(':');
const root = join(import.meta.dirname, '../..');
/** What is known of each case. */
const resultsFile = join(benchFolder, 'results.json');

interface Result {
  readonly when: string;
  readonly run: string;
  /** Load average before and after. */
  readonly load: string;
  readonly sections: readonly Section[];
}

const cases: Readonly<Record<string, () => Promise<Section[]>>> = {
  http1: async () => [
    await runProgram('Node sidecar against Envoy, HTTP/1.1', 'http1/run.ts', httpText, httpSettings('http1')),
  ],
  http2: async () => [
    await runProgram('Node sidecar against Envoy, HTTP/2', 'http1/run.ts', http2Text, httpSettings('http2')),
    await runProgram('Node sidecar against Envoy, gRPC', 'http1/run.ts', grpcText, httpSettings('grpc')),
  ],
  tcp: async () => [await runProgram('Node sidecar against Envoy, TCP', 'http1/run.ts', tcpText, httpSettings('tcp'))],
  envoy: () => benchEnvoy(isQuick),
  'control-plane': () => benchControlPlane(isQuick, part),
  cli: async () => [await runProgram('Command line', 'cli.ts', 'Medians of seven runs.', {})],
  // Only when asked for: it needs a cluster (`make bench-cluster`).
  cluster: () => benchCluster(isQuick),
};

const httpText =
  'Client → outbound → inbound → app with mutual TLS, SAN checks, access rules and a split, all setups in turn: CPU seconds of both proxies for 10,000 requests. *bare*: the codec without any policy. `/ envoy…`: the ratio of CPU to that Envoy in the same run.';

const http2Text =
  'The same with HTTP/2 on all three hops: a quarter of the connections, four streams each. The Node sidecar is on `node:http2`, which spends most of this before any code of ours runs.';
const grpcText = 'The same with unary calls of gRPC.';
const tcpText =
  'The same bytes as with HTTP/1.1 through a TCP port: who may connect is decided, nothing is looked into.';

function httpSettings(protocol: 'http1' | 'http2' | 'grpc' | 'tcp'): Record<string, string> {
  const quick = { BENCH_SECONDS: '3', BENCH_REPETITIONS: '2', BENCH_SETUPS: 'sidecar,envoy,envoy-traced' };
  const settings = { BENCH_PROTOCOL: protocol, ...(isQuick ? quick : {}) };
  return protocol === 'http1' ? settings : { ...settings, BENCH_SETUPS: 'sidecar,envoy' };
}

/** A case that is a program of its own and prints a table, or lines. */
async function runProgram(
  title: string,
  file: string,
  text: string,
  settings: Readonly<Record<string, string>>,
): Promise<Section> {
  const path = join(import.meta.dirname, file);
  const section = { title, text, heads: [], rows: [], goals: [] };
  if (!existsSync(path)) return { ...section, text: 'Not measured.' };
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
  if (code !== 0) return { ...section, text: `Not measured: the case ended with ${code ?? 'a signal'}.` };
  const table = output.trimStart().startsWith('|') ? output.trim() : `\`\`\`text\n${output.trimEnd()}\n\`\`\``;
  return { ...section, text: `${text}\n\n${table}` };
}

function toDocument(results: Readonly<Record<string, Result>>): string {
  const [processor] = cpus();
  const envoy = spawnSync('envoy', ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules/@grpc/grpc-js/package.json'), 'utf8')) as {
    version: string;
  };
  const facts: [string, string][] = [
    ['commit', commit],
    [
      'machine',
      `${cpus().length} × ${processor?.model ?? ''}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`,
    ],
    ['Node', process.version],
    ['grpc-js', version],
    ['Envoy', /version: \w+\/([\d.]+)/.exec(envoy)?.[1] ?? 'none'],
  ];
  const known = Object.keys(cases).flatMap((name) => (results[name] ? [{ name, ...results[name] }] : []));
  const goals = known.flatMap(({ sections }) => sections.flatMap((section) => section.goals));
  const missed = goals.filter(({ met }) => !met);
  return [
    '# Performance',
    'Written by `make bench` (`BENCH=quick` for some minutes). Each case is measured beside its peer in the same run, in turns; what counts are the ratios, and CPU before time. Where the load average is above 1, others used the machine meanwhile, and times are upper bounds.',
    ['| | |', '| --- | --- |', ...facts.map(([name, value]) => `| ${name} | ${value} |`)].join('\n'),
    [
      ['case', 'measured', 'run', 'load average before and after'],
      ['---', '---', '---', '---'],
      ...known.map(({ name, when, run, load }) => [name, when, run, load]),
    ]
      .map((cells) => `| ${cells.join(' | ')} |`)
      .join('\n'),
    `Goals met: ${goals.length - missed.length} of ${goals.length}.`,
    ...known.flatMap(({ sections }) => sections.map(toMarkdown)),
  ].join('\n\n');
}

function readResults(): Record<string, Result> {
  return existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')) as Record<string, Result>) : {};
}

async function runCase(name: string, run: () => Promise<Section[]>): Promise<Result> {
  const load = (): string => (loadavg()[0] ?? 0).toFixed(1);
  const before = load();
  const when = new Date().toISOString().slice(0, 16).replace('T', ' ');
  let sections: Section[];
  try {
    sections = await run();
  } catch (error) {
    // The others are worth their time all the same.
    progress(`${name} failed: ${String(error)}`);
    sections = [{ title: name, text: `Not measured: ${String(error)}`, heads: [], rows: [], goals: [] }];
    process.exitCode = 1;
  } finally {
    await stopAll();
  }
  return { when, run: isQuick ? 'quick' : 'full', load: `${before}, ${load()}`, sections };
}

mkdirSync(benchFolder, { recursive: true });
for (const [name, run] of Object.entries(cases)) {
  if (only ? only !== name : name === 'cluster') continue;
  progress(`== ${name}`);
  const result = await runCase(name, run);
  if (part === undefined) writeFileSync(resultsFile, JSON.stringify({ ...readResults(), [name]: result }));
  else process.stdout.write(`${result.sections.map(toMarkdown).join('\n\n')}\n`);
}
if (part === undefined) writeFileSync(join(root, 'docs/performance.md'), `${toDocument(readResults())}\n`);
