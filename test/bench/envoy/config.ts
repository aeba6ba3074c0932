import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildMesh } from '../../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../../pkg/catalog/mesh-model.ts';
import { createLeaf, createRoot } from '../../../pkg/certs/certificate.ts';
import type { XdsResources } from '../../../pkg/envoy-config/to-xds-resources.ts';
import { startEnvoyMesh } from '../../conformance/envoy-mesh.ts';
import { until } from '../../support/envoy.ts';
import { scenarioConfig } from '../../support/scenario.ts';
import { pod, routeGroup, service, snapshotOf, split, target } from '../../support/snapshot.ts';
import { toEnvoyConfig } from '../http1/envoy-config.ts';
import { appPort as portInMesh, clientIdentity, rootName, serverIdentity } from '../http1/setup.ts';
import { benchFolder, bundle, cpuSeconds, median, progress, quantile, rssMiB } from '../processes.ts';
import { type Section, toGoal, toText } from '../report.ts';
import { freePort } from '../../support/free-ports.ts';

const samplings = [0, 0.01] as const;
const connections = 32;
const run = promisify(execFile);

/** Two Envoys, client → outbound → inbound → app, over unix sockets between them. */
interface Pair {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

interface Measured {
  readonly cpu: number;
  readonly rate: number;
  readonly p99: number;
  readonly rss: number;
}

/** Tulle's configuration against the least that does the same, written by hand: CPU of both Envoys per request. */
export async function benchConfig(program: string, isQuick: boolean): Promise<Section> {
  const [seconds, repetitions] = isQuick ? [4, 3] : [8, 7];
  const programs = await bundle([join(import.meta.dirname, '../http1/app-main.ts')]);
  const port = await freePort();
  const app = spawn(process.execPath, [programs.get('http1/app-main') ?? '', String(port)], { stdio: 'ignore' });
  const rows: string[][] = [];
  const ratios = new Map<number, number>();
  try {
    for (const sampling of samplings) {
      const pairs = [await startTulle(program, port, sampling), await startMinimal(program, port, sampling)];
      const results = new Map<Pair, Measured[]>(pairs.map((pair) => [pair, []]));
      try {
        for (const pair of pairs) check(pair);
        for (let repetition = 0; repetition < repetitions; repetition++) {
          for (const [pair, all] of results) all.push(await measure(pair, seconds));
        }
      } finally {
        for (const pair of pairs) await pair.stop();
      }
      const cpus = [...results.values()].map((all) => median(all.map(({ cpu }) => cpu)));
      const ratio = (cpus[0] ?? Number.NaN) / (cpus[1] ?? Number.NaN);
      ratios.set(sampling, ratio);
      for (const [{ name }, all] of results) {
        const m = (field: keyof Measured): number => median(all.map((each) => each[field]));
        rows.push([
          `${sampling * 100} %`,
          name,
          toText(m('cpu')),
          `${toText(
            quantile(
              all.map(({ cpu }) => cpu),
              0,
            ),
          )}–${toText(
            quantile(
              all.map(({ cpu }) => cpu),
              1,
            ),
          )}`,
          m('rate').toFixed(0),
          toText(m('p99')),
          m('rss').toFixed(0),
          name === 'Tulle' ? toText(ratio) : '',
        ]);
        progress(`  envoy ${sampling} ${name} ${all.map(({ cpu }) => cpu.toFixed(3)).join(' ')}`);
      }
    }
  } finally {
    app.kill('SIGTERM');
  }
  return {
    title: 'Envoy: Tulle’s configuration against a hand-written one',
    text: 'HTTP/1.1, 1 KiB, 32 connections: client → Envoy → mutual TLS over a unix socket → Envoy → app; access rules, a split 90:10, paths normalised, trace headers in W3C and B3. The hand-written one leaves out what no client notices: reasons of refusals, hygiene of headers, the access log. CPU seconds of both Envoys for 10,000 requests, medians of interleaved runs. Spans of Tulle’s are sent one by one here, which is a setting of the tests.',
    heads: ['traced', 'configuration', 'CPU s / 10k', 'range', 'req/s', 'p99 ms', 'RSS MiB', 'ratio'],
    rows,
    goals: samplings.map((sampling) =>
      toGoal(`CPU at ${sampling * 100} % traced, ≤ 1.1 × hand-written`, ratios.get(sampling) ?? Number.NaN, 1.1, ' ×'),
    ),
  };
}

/** `adapt` changes what each Envoy is given: to find out what a part of it costs. */
export async function startTulle(
  program: string,
  app: number,
  sampling: number,
  adapt?: (resources: XdsResources) => XdsResources,
): Promise<Pair> {
  const mesh = await startEnvoyMesh(program, () => app, adapt);
  const loaded = await mesh.load(toModel(sampling), ['bookstore/bookbuyer']);
  const { host, port } = loaded.client('bookstore/bookbuyer').loopback.locate('10.96.0.1', portInMesh);
  // Envoys that stand for nobody are idle, and are not counted.
  const pids = envoysIn(mesh.directory);
  return { name: 'Tulle', host, port, pids, stop: () => mesh.stop() };
}

function toModel(sampling: number): MeshModel {
  const store = (version: string, ip: string, address: string) => ({
    pod: pod('bookstore', `bookstore-${version}`, {
      serviceAccount: 'bookstore',
      ip,
      ports: [{ name: 'http', port: portInMesh }],
    }),
    service: service('bookstore', `bookstore-${version}`, {
      clusterIPs: [address],
      ports: [{ name: 'http', port: portInMesh, targetPort: portInMesh, protocol: 'TCP', appProtocol: 'http' }],
    }),
  });
  const versions = [store('v1', '10.0.0.1', '10.96.0.2'), store('v2', '10.0.0.1', '10.96.0.3')];
  const [v1, v2] = versions;
  if (!v1 || !v2) throw new Error('no versions');
  const root = {
    ...v1.service,
    name: 'bookstore',
    clusterIPs: ['10.96.0.1'],
  };
  // One pod behind both, as in the other setup.
  const behind = (each: typeof v1.service) => ({ ...each, selector: v1.service.selector });
  const outcome = buildMesh(
    snapshotOf({
      config: { ...scenarioConfig, tracing: { sampling } },
      services: [root, v1.service, behind(v2.service)] as never,
      pods: [v1.pod],
      smi: [
        routeGroup('bookstore', 'routes', [{ name: 'books', pathRegex: '/books.*', methods: ['GET', 'POST'] }]),
        target('bookstore', 'bookstore', {
          to: 'bookstore',
          from: ['bookbuyer'],
          rules: [{ kind: 'HTTPRouteGroup', name: 'routes' }],
        }),
        split('bookstore', 'canary', 'bookstore', { 'bookstore-v1': 90, 'bookstore-v2': 10 }),
      ],
    }),
  );
  return outcome.value;
}

/** All that were started in a folder name it on their command line. */
function envoysIn(folder: string): number[] {
  const output = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
  return output
    .split('\n')
    .filter((line) => line.includes(`-c ${folder}/`))
    .map((line) => Number(line.trim().split(/\s+/)[0]));
}

/** `change` gets each object of the configuration: to find out what a part of it costs. */
export async function startMinimal(
  program: string,
  app: number,
  sampling: number,
  change = (value: object, _side: 'outbound' | 'inbound'): object => value,
): Promise<Pair> {
  const folder = mkdtempSync(join(benchFolder, 'envoy-'));
  const validity = { from: Date.now(), lifetime: 3_600_000 };
  const root = createRoot(rootName, validity);
  const socket = join(folder, 'in.sock');
  const pipe = { address: { pipe: { path: socket } } };
  const port = await freePort();
  const launch = (side: 'outbound' | 'inbound') => {
    const uri = side === 'outbound' ? clientIdentity : serverIdentity;
    const { certificate, privateKey } = createLeaf(root, rootName, { uris: [uri], dnsNames: [] }, validity);
    const config = toEnvoyConfig({
      side,
      listen: side === 'outbound' ? port : 1,
      upstream: side === 'outbound' ? 1 : app,
      protocol: 'http1',
      between: 'http/1.1',
      tracing: { sampling, collector: app },
      certificateChain: certificate,
      privateKey,
      roots: root.certificate,
    });
    const text = JSON.stringify(config, (_, value: unknown) => {
      if (isPlaceholder(value)) return pipe.address;
      return typeof value === 'object' && value !== null ? change(value, side) : value;
    });
    const file = join(folder, `${side}.json`);
    writeFileSync(file, text, { mode: 0o600 });
    const args = ['-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'error'];
    return spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 600_000, killSignal: 'SIGKILL' });
  };
  const children = [launch('inbound'), launch('outbound')];
  await until(() => existsSync(socket));
  const pair: Pair = {
    name: 'hand-written',
    host: '127.0.0.1',
    port,
    pids: children.map(({ pid }) => pid ?? 0),
    async stop() {
      for (const child of children) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await until(() => statusOf(pair, '/books/1') === '200');
  return pair;
}

/** Port 1 stands for the socket between the two. */
function isPlaceholder(value: unknown): boolean {
  const address = (value as { socket_address?: { port_value?: number } } | null)?.socket_address;
  return address?.port_value === 1;
}

/** What is measured must be right: one request passes, one is denied. */
export function check(pair: Pair): void {
  const [allowed, denied] = [statusOf(pair, '/books/1?a=b'), statusOf(pair, '/admin')];
  if (allowed !== '200' || denied !== '403') throw new Error(`${pair.name}: allowed ${allowed}, denied ${denied}`);
}

function statusOf({ host, port }: Pair, path: string): string {
  const args = ['-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', `http://${host}:${port}${path}`];
  try {
    return execFileSync('curl', args, { encoding: 'utf8' });
  } catch {
    return 'nothing';
  }
}

export async function measure({ host, port, pids }: Pair, seconds: number): Promise<Measured> {
  const before = pids.map(cpuSeconds);
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', `http://${host}:${port}/books/1?a=b`];
  // Spans and configuration are served by this very process meanwhile.
  const { stdout: output } = await run('wrk', args, { encoding: 'utf8', timeout: 60_000 });
  const used = pids.reduce((sum, pid, i) => sum + cpuSeconds(pid) - (before[i] ?? 0), 0);
  if (/Non-2xx|Socket errors/.test(output)) throw new Error(output);
  const [, p99 = '0', unit = 'ms'] = /99%\s+([\d.]+)(us|ms|s)/.exec(output) ?? [];
  return {
    cpu: (used / Number(/(\d+) requests in/.exec(output)?.[1])) * 10_000,
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    p99: Number(p99) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1),
    rss: Math.max(...pids.map(rssMiB)),
  };
}
