import { request } from 'node:http';
import { join } from 'node:path';
import type { MeshReport } from '../dashboard/dashboard.ts';
import { askSupervisor } from '../local/control-client.ts';
import type { PodStatus } from '../local/pod-status.ts';
import { meansCluster } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import { describeEnvoy } from './envoy-config-text.ts';
import { findMesh, type RunningMesh } from './find-mesh.ts';
import { getJson } from './mesh-client.ts';
import { writeJson, writeLines } from './mesh-input.ts';
import type { ProxyFlags } from './program.ts';
import { describeProxies, isBehind, type Sidecars } from './proxy-state.ts';

interface PodListing {
  readonly namespace: string;
  readonly name: string;
  readonly owner: string;
  readonly sidecar: 'node' | 'envoy' | 'none';
  readonly dir: string;
  readonly status: PodStatus;
}

/** `tulle proxy status`: 1 when a sidecar refused something or is not in sync. */
export async function proxyStatus(context: CliContext, flags: ProxyFlags): Promise<number> {
  const { proxies, served }: Sidecars = meansCluster(flags)
    ? await (await import('./cluster-proxy.ts')).clusterProxies(context, flags)
    : await getJson<MeshReport>(findMesh(context, flags.file).api, '/api/mesh');
  if (flags.output === 'json') writeJson(context, proxies);
  else writeLines(context, describeProxies({ proxies, ...(served && { served }) }));
  return proxies.some(isBehind) ? 1 : 0;
}

/** `tulle proxy config [POD]`: what the sidecar itself says that it enforces. */
export async function proxyConfig(context: CliContext, pod: string | undefined, flags: ProxyFlags): Promise<number> {
  if (meansCluster(flags)) return (await import('./cluster-proxy.ts')).clusterProxyConfig(context, pod, flags);
  const { file, output } = flags;
  const pods = (await listPods(findMesh(context, file))).filter(({ namespace, name }) =>
    matches(`${namespace}/${name}`, pod),
  );
  if (pods.length === 0) throw new CliError(`no pod "${pod}" is running; see "tulle proxy status"`);
  const configs = await Promise.all(pods.map(readConfig));
  if (output === 'json') {
    context.stdout.write(`${JSON.stringify(configs, undefined, 2)}\n`);
    return 0;
  }
  for (const { pod: name, sidecar, config } of configs) {
    const lines =
      sidecar === 'node'
        ? describePolicy(name, config as PolicyDump)
        : [name, ...(sidecar === 'none' ? ['has no sidecar'] : describeEnvoy(config)).map((line) => `  ${line}`)];
    for (const line of lines) context.stdout.write(`${line}\n`);
  }
  return 0;
}

interface SidecarConfigDump {
  readonly pod: string;
  readonly sidecar: PodListing['sidecar'];
  /** The policy of a Node sidecar, the config dump of an Envoy. */
  readonly config: unknown;
}

async function readConfig({ namespace, name, sidecar, dir }: PodListing): Promise<SidecarConfigDump> {
  const pod = `${namespace}/${name}`;
  if (sidecar === 'none') return { pod, sidecar, config: {} };
  const config = await askSidecar(join(dir, 'admin.sock'), sidecar === 'node' ? '/policy' : '/config_dump?include_eds');
  return { pod, sidecar, config };
}

async function listPods(mesh: RunningMesh): Promise<readonly PodListing[]> {
  const connection = await askSupervisor<readonly PodListing[]>(join(mesh.path, 'supervisor.sock'), { type: 'pods' });
  connection.close();
  return connection.value;
}

function matches(name: string, wanted: string | undefined): boolean {
  return wanted === undefined || name.startsWith(wanted) || name.slice(name.indexOf('/') + 1).startsWith(wanted);
}

interface PolicyDump {
  readonly inbound?: {
    readonly identity: string;
    readonly mode: string;
    readonly modeFrom: string;
    readonly ports: readonly {
      readonly port: number;
      readonly protocol: string;
      readonly services: readonly string[];
    }[];
    readonly rules: readonly {
      readonly origin: { readonly namespace: string; readonly name: string };
      readonly sources: readonly string[];
      readonly ports?: readonly number[];
      readonly http?: readonly { readonly methods?: readonly string[]; readonly path?: string }[];
    }[];
  };
  readonly outbound: readonly {
    readonly key: string;
    readonly protocol: string;
    readonly routes: readonly { readonly backends: readonly { readonly service: string; readonly weight: number }[] }[];
  }[];
}

function describePolicy(pod: string, { inbound, outbound }: PolicyDump): readonly string[] {
  const lines = [pod];
  if (!inbound) lines.push('  no policy yet: it denies everything');
  else {
    lines.push(`  is ${inbound.identity}, mode ${inbound.mode} (${inbound.modeFrom})`);
    for (const { port, protocol, services } of inbound.ports)
      lines.push(`  port ${port} (${protocol}) serves ${services.join(', ')}`);
    if (inbound.rules.length === 0) lines.push('  nobody may call it');
    for (const { origin, sources, ports, http } of inbound.rules) {
      const where = ports ? ` port ${ports.join(', ')}` : '';
      const what = http
        ? ` ${http.map(({ methods, path }) => `${methods?.join('|') ?? '*'} ${path ?? '*'}`).join(', ')}`
        : '';
      lines.push(`  ${origin.namespace}/${origin.name} lets in ${sources.join(', ')}:${where}${what}`);
    }
  }
  for (const { key, protocol, routes } of outbound) {
    const backends = routes.at(-1)?.backends.map(({ service, weight }) => `${service} ${weight}`) ?? [];
    lines.push(`  may call ${key} (${protocol})${backends.length > 1 ? `, shared: ${backends.join(', ')}` : ''}`);
  }
  return lines;
}

function askSidecar(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, timeout: 5_000, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      answer.on('end', () => {
        try {
          resolve(JSON.parse(body));
        } catch {
          reject(new CliError(`the sidecar answered ${answer.statusCode}: ${body.slice(0, 200)}`));
        }
      });
      answer.on('error', reject);
    });
    call.once('timeout', () => call.destroy(new Error('the sidecar does not answer')));
    call.once('error', reject);
    call.end();
  });
}
