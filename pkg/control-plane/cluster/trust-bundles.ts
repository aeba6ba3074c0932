import { createHash } from 'node:crypto';
import type { CertificateAuthority } from '../../certs/authority.ts';
import { toSecretFiles } from '../../envoy-config/bootstrap.ts';
import { toPodTrust } from '../../envoy-config/pod-bootstrap.ts';
import { trustConfigMap } from '../../injector/sidecar-container.ts';
import { fieldManager } from '../../provider/kubernetes/apply-object.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import type { ReflectorOptions } from '../../provider/kubernetes/reflected.ts';
import { runReflector } from '../../provider/kubernetes/reflector.ts';
import { applyConfigMap, type ConfigMapState, deleteConfigMap } from '../../provider/kubernetes/write-config-map.ts';

const trustKeys = ['roots.pem', 'sds-token.json', 'sds-roots.json'];

export interface TrustBundlesOptions extends Pick<
  ReflectorOptions<never>,
  'signal' | 'clock' | 'random' | 'log' | 'timing'
> {
  readonly cluster: Cluster;
  readonly authority: Pick<CertificateAuthority, 'bundle'>;
  /** Of the control plane: sidecars check its name. */
  readonly service: { readonly namespace: string; readonly service: string };
  readonly meshName: string;
  /** Namespaces whose pods are or may be meshed; undefined: not known yet. */
  readonly wanted: () => ReadonlySet<string> | undefined;
  /** One of them was changed, by whomever: reconcile. */
  readonly onChange: () => void;
}

/** The control plane's roots in each meshed namespace: pods mount them to know whom they talk to (DECISIONS I4). */
export interface TrustBundles {
  /** Makes sure of one namespace, for a pod that is about to be made there. */
  prepare(namespace: string): Promise<void>;
  /** Looks at all of them, and corrects; the leader's. */
  reconcile(signal: AbortSignal): Promise<void>;
}

type Trust = ReturnType<typeof toPodTrust>;

/** Keys of the ConfigMap, as the pod template of the injector names them. */
function toTrustData(bundle: string, trust: Trust): Record<string, string> {
  const files = toSecretFiles(trust);
  const texts = Object.entries(files).map(([name, content]) => [name, JSON.stringify(content)]);
  return { 'roots.pem': bundle, ...Object.fromEntries(texts) } as Record<string, string>;
}

const meshLabel = 'tulle.dev/mesh';
/** A namespace that a pod was admitted to counts as meshed so long, whatever is known of its labels. */
const admitted = 300_000;
/** What was written so lately may not have come back yet. */
const echo = 5_000;
const atOnce = 8;

/** What is kept of a ConfigMap: enough to tell whether it is right, and ours. */
interface TrustState {
  readonly digest: string;
  readonly mesh: string | undefined;
}

export function createTrustBundles(options: TrustBundlesOptions): TrustBundles {
  const { cluster, authority, service, meshName, wanted, onChange, ...following } = options;
  const trust = toPodTrust(service);
  const now = (): number => following.clock.now();
  const labels = { 'app.kubernetes.io/managed-by': fieldManager, [meshLabel]: meshName };
  const admissions = new Map<string, number>();
  const written = new Map<string, { readonly digest: string; readonly at: number }>();
  const preparing = new Map<string, Promise<void>>();
  let right: { readonly bundle: string; readonly data: Record<string, string>; readonly digest: string } | undefined;

  /** As it is to be now. */
  function toTrust(): NonNullable<typeof right> {
    const bundle = authority.bundle();
    if (right?.bundle !== bundle) {
      const data = toTrustData(bundle, trust);
      right = { bundle, data, digest: toDigest(data) };
    }
    return right;
  }

  const reflector = runReflector<TrustState>({
    ...following,
    cluster,
    resource: {
      name: `configmaps ${trustConfigMap}`,
      kind: 'ConfigMap',
      locate: () => Promise.resolve({ path: '/api/v1/configmaps', apiVersion: 'v1', kind: 'ConfigMap' }),
      query: { fieldSelector: `metadata.name=${trustConfigMap}` },
      trim: ({ metadata, data }) => ({
        digest: toDigest((data ?? {}) as Record<string, string>),
        mesh: (metadata as ConfigMapState['metadata']).labels?.[meshLabel],
      }),
    },
    onChange: (changes) => {
      // What was written has come back, or is gone again.
      for (const { before, after } of changes) written.delete((after ?? before)?.namespace ?? '');
      onChange();
    },
  });

  async function write(namespace: string, signal?: AbortSignal): Promise<void> {
    const { data, digest } = toTrust();
    await applyConfigMap(cluster, { namespace, name: trustConfigMap, labels, data }, signal);
    written.set(namespace, { digest, at: now() });
  }

  function isRight(namespace: string): boolean {
    const { digest } = toTrust();
    const known = reflector.items.get(`${namespace}/${trustConfigMap}`);
    if (known) return known.value.digest === digest;
    const own = written.get(namespace);
    return own !== undefined && own.digest === digest && now() - own.at < echo;
  }

  async function reconcile(signal: AbortSignal): Promise<void> {
    const meshed = wanted();
    if (!meshed || !reflector.status().synced) return;
    for (const [namespace, time] of admissions) if (now() - time > admitted) admissions.delete(namespace);
    for (const [namespace, { at }] of written) if (now() - at > echo) written.delete(namespace);
    const keep = new Set([...meshed, ...admissions.keys()]);
    const tasks: (() => Promise<void>)[] = [];
    for (const namespace of keep) if (!isRight(namespace)) tasks.push(() => write(namespace, signal));
    for (const { namespace, uid, value } of reflector.items.values()) {
      // Another mesh's, or somebody's own: not ours to take away.
      if (keep.has(namespace) || value.mesh !== meshName) continue;
      tasks.push(() => deleteConfigMap(cluster, { namespace, name: trustConfigMap, uid }, signal));
    }
    await runAll(tasks);
  }

  return {
    reconcile,
    async prepare(namespace) {
      admissions.set(namespace, now());
      if (isRight(namespace)) return;
      const running = preparing.get(namespace) ?? write(namespace).finally(() => preparing.delete(namespace));
      preparing.set(namespace, running);
      await running;
    },
  };
}

function toDigest(data: Readonly<Record<string, string>>): string {
  const hash = createHash('sha256');
  for (const key of trustKeys) hash.update(`${key}\0${data[key] ?? ''}\0`);
  return hash.digest('base64');
}

/** A few at a time; one that fails keeps none of the others from being done. A namespace that goes away is no failure. */
async function runAll(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  const queue = [...tasks];
  const workers = Array.from({ length: Math.min(atOnce, queue.length) }, async () => {
    for (let task = queue.shift(); task; task = queue.shift()) {
      try {
        await task();
      } catch (error) {
        if (!isGoing(error)) errors.push(error);
      }
    }
  });
  await Promise.all(workers);
  if (errors.length > 0) throw errors[0];
}

function isGoing(error: unknown): boolean {
  const { status, message = '' } = error as { status?: number; message?: string };
  return status === 404 || (status === 403 && message.includes('being terminated'));
}
