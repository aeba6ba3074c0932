import type { MeshReport } from '../dashboard/dashboard.ts';
import { type ClusterAccess, withCluster } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';
import { hasSidecar, isOver, type PodObject } from './cluster-pods.ts';
import { CliError, type CliContext } from './context.ts';
import { getThrough, openControllerApi } from './controller-api.ts';
import { describeEnvoy } from './envoy-config-text.ts';
import { writeJson, writeLines } from './mesh-input.ts';
import type { ProxyFlags } from './program.ts';
import type { Sidecars } from './proxy-state.ts';

const adminPort = 15_000;

/** The sidecars that are connected to any of the controllers, and the pods that these serve. */
export function clusterProxies(context: CliContext, flags: ProxyFlags): Promise<Sidecars> {
  return withCluster(context, flags, async (access) => {
    if (flags.namespace !== undefined) await requireNamespace(access, flags.namespace);
    const api = await openControllerApi(access);
    const reports = await api.getEach<MeshReport>('/api/mesh');
    const proxies = reports
      .flatMap((report) => report.proxies)
      .filter(({ pod }) => flags.namespace === undefined || pod.startsWith(`${flags.namespace}/`))
      .sort((a, b) => (a.pod < b.pod ? -1 : 1));
    return { proxies, served: new Set(reports.flatMap(({ pods }) => (pods ?? []).map(({ pod }) => pod))) };
  });
}

/** `tulle proxy config POD -n NS --context C`: what the Envoy of a pod itself says that it has. */
export function clusterProxyConfig(context: CliContext, name: string | undefined, flags: ProxyFlags): Promise<number> {
  return withCluster(context, flags, async (access) => {
    const pod = await findPod(access, name, flags.namespace);
    const { createPortForwarder } = await import('../provider/kubernetes/port-forward.ts');
    const forwarder = await createPortForwarder(access.options);
    const to = { namespace: pod.metadata.namespace, pod: pod.metadata.name, port: adminPort };
    const { status, body } = await getThrough(forwarder, to, '/config_dump?include_eds', 20_000);
    if (status !== 200) throw new CliError(`the sidecar answered ${status}: ${body.slice(0, 200)}`);
    const config: unknown = JSON.parse(body);
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    if (flags.output === 'json') writeJson(context, { pod: key, sidecar: 'envoy', config });
    else writeLines(context, [key, ...describeEnvoy(config).map((line) => `  ${line}`)]);
    return 0;
  });
}

/** That it is there, as far as whoever asks may see it: lists of what is in a namespace that is not are just empty. */
async function requireNamespace({ cluster }: ClusterAccess, name: string): Promise<void> {
  try {
    await cluster.request('GET', `/api/v1/namespaces/${encodeURIComponent(name)}`);
  } catch (error) {
    if (isAbsent(error)) throw new CliError(`there is no namespace ${name}`, 2);
    if (!isForbidden(error)) throw error;
  }
}

/** By its name or the start of it, as `namespace/name` too. */
async function findPod(access: ClusterAccess, text: string | undefined, given: string | undefined): Promise<PodObject> {
  if (text === undefined) throw new CliError('write tulle proxy config POD -n NAMESPACE', 2);
  const { cluster } = access;
  const [before = '', after] = text.split('/');
  const namespace = after === undefined ? (given ?? cluster.namespace) : before;
  const name = after ?? before;
  const { items } = await cluster.request<{ readonly items: readonly PodObject[] }>(
    'GET',
    `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`,
  );
  const mine = items.filter((pod) => pod.metadata.name.startsWith(name) && !isOver(pod));
  const exact = mine.find((pod) => pod.metadata.name === name);
  const [only, ...others] = exact ? [exact] : mine;
  if (only === undefined) {
    await requireNamespace(access, namespace);
    const known = items.filter(hasSidecar).map(({ metadata }) => metadata.name);
    const hint = known.length === 0 ? 'no pod there has a sidecar' : `these have a sidecar: ${known.join(', ')}`;
    throw new CliError(`no pod "${name}" runs in namespace ${namespace}; ${hint}`, 2);
  }
  if (others.length > 0)
    throw new CliError(`"${name}" may be ${mine.map(({ metadata }) => metadata.name).join(' or ')}: write which`, 2);
  if (!hasSidecar(only))
    throw new CliError(`${namespace}/${only.metadata.name} has no sidecar: it runs out of the mesh`, 2);
  return only;
}
