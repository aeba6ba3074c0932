import type { MeshSnapshot, Pod } from '../catalog/snapshot.ts';
import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../policy/identity.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import type { MeshFacts } from './mesh-facts.ts';

/** Who calls. */
export interface CallSource {
  /** Absent: a caller without a sidecar, written `-`. */
  readonly identity?: ServiceIdentity;
  /** `namespace/serviceaccount`; '' without a sidecar. */
  readonly account: string;
  readonly namespace: string;
  /** Owners of the pods that run as it: `bookbuyer/Deployment/bookbuyer`. */
  readonly workloads: readonly string[];
}

export interface CallDestination {
  readonly entry: DirectoryEntry;
  readonly hostname?: string;
  /** The name alone means a Service of the caller's namespace, and this is another's. */
  readonly needsNamespace: boolean;
}

export type Found<T> = { readonly value: T } | { readonly fault: string };

/** Reads `namespace/serviceaccount`, the name of a workload or pod, or `-`. */
export function findSource({ snapshot }: Pick<MeshFacts, 'snapshot'>, text: string): Found<CallSource> {
  if (text === '-') return { value: { account: '', namespace: '', workloads: [] } };
  const spiffe = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(text);
  const written = spiffe ? `${spiffe[1]}/${spiffe[2]}` : text;
  const accounts = new Map<string, Pod[]>();
  for (const pod of snapshot.pods) {
    if (!namesPod(written, pod)) continue;
    const account = `${pod.namespace}/${pod.serviceAccount}`;
    accounts.set(account, [...(accounts.get(account) ?? []), pod]);
  }
  const exact = accounts.has(written) ? written : undefined;
  const [only, ...others] = exact === undefined ? [...accounts.keys()] : [exact];
  if (others.length > 0) {
    return { fault: `"${text}" may be ${[only, ...others].join(' or ')}: write which` };
  }
  const account = only ?? written;
  const [namespace = '', name = '', ...rest] = account.split('/');
  if (namespace === '' || name === '' || rest.length > 0) {
    const known = [...new Set(snapshot.pods.map((pod) => `${pod.namespace}/${pod.serviceAccount}`))].sort();
    const hint = known.length === 0 ? '' : `; these run: ${known.slice(0, 10).join(', ')}`;
    return { fault: `no workload is named "${text}": write namespace/serviceaccount${hint}` };
  }
  const owners = (accounts.get(account) ?? []).map(
    ({ owner, namespace: space, name: pod }) => owner ?? `${space}/Pod/${pod}`,
  );
  return {
    value: {
      identity: toServiceIdentity(trustDomainOf(snapshot), { namespace, name }),
      account,
      namespace,
      workloads: [...new Set(owners)].sort(),
    },
  };
}

function trustDomainOf({ config }: MeshSnapshot): TrustDomain {
  return config.trustDomain as TrustDomain;
}

/** By account, by what made it, by its own name; each with its namespace or without. */
function namesPod(text: string, { namespace, name, serviceAccount, owner }: Pod): boolean {
  const made = owner?.split('/')[2];
  return [serviceAccount, name, made].some((known) => known === text || `${namespace}/${known}` === text);
}

/**
 * Reads any spelling of a Service: `name`, `namespace/name`, `name.namespace`, …, `name.namespace.svc.cluster.local.`, or a
 * pod's own name behind a headless Service; with `:port` where it has several.
 */
export function findDestination(
  { model, snapshot }: Pick<MeshFacts, 'model' | 'snapshot'>,
  text: string,
  namespace: string,
): Found<CallDestination> {
  const [, host = '', digits] = /^(.*?)(?::(\d+))?$/.exec(text.replace(/^[a-z]+:\/\//, '').replace(/\/$/, '')) ?? [];
  const name = host.toLowerCase().replace(/\.$/, '');
  const anybody = toServiceIdentity(trustDomainOf(snapshot), { namespace: namespace || 'default', name: 'default' });
  const entries = [...model.policyOf(anybody).directory.values()];
  const named = entriesNamed(entries, name, namespace);
  if (named.length === 0) return { fault: noService(entries, snapshot, host) };
  const services = new Set(named.map(({ entry }) => `${entry.namespace}/${entry.name}`));
  if (services.size > 1) return { fault: `"${host}" may be ${[...services].join(' or ')}: write which` };
  const wanted = digits === undefined ? undefined : Number(digits);
  const exact = wanted === undefined ? named : named.filter(({ entry }) => entry.port === wanted);
  // What a server's sidecar refused it names by the workload's own port.
  const fitting = exact.length > 0 ? exact : named.filter(({ entry }) => targetPortOf(snapshot, entry) === wanted);
  const [found, ...more] = fitting;
  const ports = named.map(({ entry }) => entry.port).join(', ');
  const [service = ''] = services;
  if (found === undefined && isUdp(snapshot, service, wanted)) return { fault: udpFault(service, digits ?? '') };
  if (found === undefined) return { fault: `Service ${service} has no port ${digits}; it has ${ports}` };
  if (more.length > 0) return { fault: `Service ${service} has the ports ${ports}: write ${host}:${found.entry.port}` };
  return { value: found };
}

function entriesNamed(entries: readonly DirectoryEntry[], name: string, namespace: string): readonly CallDestination[] {
  const bySlash = entries.filter((entry) => `${entry.namespace}/${entry.name}` === name);
  if (bySlash.length > 0) return bySlash.map((entry) => ({ entry, needsNamespace: false }));
  const own = entries.filter((entry) => entry.namespace === namespace && entry.hostnames.includes(name));
  if (own.length > 0) return own.map((entry) => ({ entry, needsNamespace: false }));
  const qualified = entries.filter((entry) => name.includes('.') && entry.hostnames.includes(name));
  if (qualified.length > 0) return qualified.map((entry) => ({ entry, needsNamespace: false }));
  const pods = entries.filter((entry) => entry.pods?.some(({ hostnames }) => hostnames.includes(name)));
  if (pods.length > 0) {
    return pods.map((entry) => ({ entry, hostname: name.split('.')[0] ?? '', needsNamespace: false }));
  }
  const elsewhere = entries.filter((entry) => entry.name === name);
  return elsewhere.map((entry) => ({ entry, needsNamespace: namespace !== '' }));
}

function targetPortOf(
  { services }: MeshSnapshot,
  { namespace, name, port }: DirectoryEntry,
): number | string | undefined {
  const service = services.find((each) => each.namespace === namespace && each.name === name);
  return service?.ports.find((each) => each.port === port)?.targetPort;
}

function isUdp({ services }: MeshSnapshot, service: string, port: number | undefined): boolean {
  const own = services.filter(({ namespace, name }) => `${namespace}/${name}` === service || name === service);
  return own.some(({ ports }) => ports.some((each) => each.protocol !== 'TCP' && (port ?? each.port) === each.port));
}

/** UDP is never silently called open or enforced. */
function udpFault(service: string, port: string): string {
  const what = port === '' ? '' : `port ${port} of `;
  return `${what}Service ${service} is not TCP: it does not pass through sidecars, so policy neither opens nor closes it; a NetworkPolicy does`;
}

function noService(entries: readonly DirectoryEntry[], snapshot: MeshSnapshot, host: string): string {
  const { services } = snapshot;
  const [name = ''] = host.split('/').slice(-1)[0]?.split('.') ?? [];
  if (isUdp(snapshot, name, undefined)) return udpFault(`"${host}"`, '');
  const external = services.find(({ name, externalName }) => name === host.split('.')[0] && externalName !== undefined);
  if (external) return `Service "${host}" is an ExternalName: what it leads to is not in the mesh`;
  const known = [...new Set(entries.map((entry) => `${entry.namespace}/${entry.name}`))].sort();
  return known.length === 0
    ? `no Service "${host}": the mesh has no Services at all`
    : `no Service "${host}" in the mesh; it has ${known.slice(0, 10).join(', ')}${known.length > 10 ? ', …' : ''}`;
}
