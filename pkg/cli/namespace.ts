import { type ClusterAccess, withCluster } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';
import type { ClusterFlags } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import { orTwo, writeJson, writeLines } from './mesh-input.ts';
import { hasSidecar, isOptedOut, isOver, type PodObject } from './cluster-pods.ts';
import { type NamespaceObject, type NamespaceState, meshOf, isIgnored, stateOf } from './namespace-state.ts';
import { whyRefused, whyUnserved } from './namespace-warnings.ts';
import { toTable } from './table.ts';

export interface NamespaceFlags extends ClusterFlags {
  readonly output: 'text' | 'json';
}

interface Change {
  readonly namespace: string;
  readonly changed: boolean;
  /** What it is now, in words. */
  readonly state: string;
  /** The command that makes it felt by what runs already. */
  readonly next?: string;
  /** What will be in the way. */
  readonly warning?: string;
}

interface Hints {
  /** What to do about a namespace that is not there. */
  readonly absent?: (name: string) => string;
  /** What is to be told once, where anything was done. */
  readonly warning?: (access: ClusterAccess) => Promise<string | undefined>;
}

interface Patch {
  readonly labels?: Readonly<Record<string, string | null>>;
  readonly annotations?: Readonly<Record<string, string | null>>;
}

const never: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease']);
const osm = 'openservicemesh.io';
const own = 'tulle.dev';

/** `tulle namespace add NS…`: 0 they are in the mesh, 2 one can't be. */
export function addNamespaces(
  context: CliContext,
  names: readonly string[],
  flags: NamespaceFlags & { readonly disableSidecarInjection?: boolean },
): Promise<number> {
  const injection = flags.disableSidecarInjection === true ? 'disabled' : 'enabled';
  const add = async (access: ClusterAccess, namespace: NamespaceObject): Promise<Change> => {
    const { meshName, controlNamespace } = access;
    const name = namespace.metadata.name;
    if (never.has(name) || name === controlNamespace)
      throw new CliError(`${name} can't be in a mesh: the mesh itself, or the cluster, runs by it`);
    if (isIgnored(namespace))
      throw new CliError(`${name} is to be ignored by the mesh: tulle namespace remove ${name} takes that away`);
    const mesh = meshOf(namespace);
    if (mesh !== undefined && mesh !== meshName)
      throw new CliError(`${name} is in mesh ${mesh}: tulle namespace remove ${name} --mesh-name ${mesh} first`);
    const patch = toPatch(namespace, { 'monitored-by': meshName }, { 'sidecar-injection': injection });
    const changed = await apply(access, namespace, patch);
    const state = `in mesh ${meshName}${injection === 'disabled' ? ', no sidecars' : ''}`;
    const next =
      injection === 'enabled'
        ? await restartOf(access, name, (pod) => !hasSidecar(pod) && !isOptedOut(pod))
        : undefined;
    const warning = injection === 'enabled' ? whyRefused(namespace) : undefined;
    return {
      namespace: name,
      changed,
      state,
      ...(next !== undefined && { next }),
      ...(warning !== undefined && { warning }),
    };
  };
  return changeEach(context, names, flags, add, {
    absent: (name) => `kubectl create namespace ${name}`,
    warning: whyUnserved,
  });
}

/** `tulle namespace remove NS…`: takes away all that `add`, `ignore` and `tulle enforce` write. */
export function removeNamespaces(
  context: CliContext,
  names: readonly string[],
  flags: NamespaceFlags,
): Promise<number> {
  return changeEach(context, names, flags, async (access, namespace) => {
    const name = namespace.metadata.name;
    const mesh = meshOf(namespace);
    if (mesh !== undefined && mesh !== access.meshName)
      throw new CliError(`${name} is in mesh ${mesh}, not ${access.meshName}: say --mesh-name ${mesh}`);
    const { mode, unknownMode = mode } = stateOf(namespace);
    const next = await restartOf(access, name, hasSidecar);
    // It would be in force at once when the namespace is added again; and is for the pods that are served until they restart.
    const modes = next === undefined ? ['mode'] : [];
    const changed = await apply(access, namespace, {
      labels: nulls(namespace.metadata.labels, ['monitored-by', 'ignore', ...modes]),
      annotations: nulls(namespace.metadata.annotations, ['sidecar-injection', 'metrics', ...modes]),
    });
    const state = `in no mesh${unknownMode === undefined ? '' : `, ${toModeLeft(unknownMode, next !== undefined)}`}`;
    return { namespace: name, changed, state, ...(next !== undefined && { next }) };
  });
}

function toModeLeft(mode: string, isServed: boolean): string {
  return isServed
    ? `and its own mode stays for the pods that run: it is ${mode}; remove it once more when they are restarted`
    : `and its own mode is gone: it was ${mode}`;
}

/** `tulle namespace ignore NS…`: no mesh touches it, whatever else it says. */
export function ignoreNamespaces(
  context: CliContext,
  names: readonly string[],
  flags: NamespaceFlags,
): Promise<number> {
  return changeEach(context, names, flags, async (access, namespace) => {
    const name = namespace.metadata.name;
    const changed = await apply(access, namespace, toPatch(namespace, { ignore: 'true' }, {}));
    const next = await restartOf(access, name, hasSidecar);
    return { namespace: name, changed, state: 'ignored', ...(next !== undefined && { next }) };
  });
}

/** `tulle namespace list`: those of all meshes, or of one. */
export function listNamespaces(context: CliContext, flags: NamespaceFlags): Promise<number> {
  return orTwo(() =>
    withCluster(context, flags, async ({ cluster }) => {
      const { items } = await cluster.request<{ items: readonly NamespaceObject[] }>('GET', '/api/v1/namespaces');
      const all = items.map(stateOf).filter(({ mesh, ignored }) => mesh !== undefined || ignored);
      const states = all.filter(({ mesh }) => flags.meshName === undefined || mesh === flags.meshName);
      if (flags.output === 'json') writeJson(context, states);
      else if (states.length === 0) writeLines(context, [describeNone(all, flags.meshName)]);
      else {
        const rows = states.map(({ namespace, mesh, injection, ignored, mode, unknownMode }) => [
          namespace,
          mesh ?? '-',
          ignored ? 'disabled (ignored)' : (injection ?? 'enabled (by the label)'),
          unknownMode === undefined ? (mode ?? '- (as the mesh)') : `enforce, since "${unknownMode}" is no mode`,
        ]);
        writeLines(context, toTable([['NAMESPACE', 'MESH', 'SIDECAR-INJECTION', 'MODE'], ...rows]));
      }
      return 0;
    }),
  );
}

function describeNone(all: readonly NamespaceState[], meshName: string | undefined): string {
  if (meshName === undefined) return 'no namespace is in a mesh: tulle namespace add NAMESPACE';
  const others = [...new Set(all.flatMap(({ mesh }) => mesh ?? []))].slice(0, 10);
  return `no namespace is in mesh ${meshName}${others.length === 0 ? '' : `; others are in mesh ${others.join(', ')}`}`;
}

/** All of them, also when one can't be changed: what is left to do is told for each. */
function changeEach(
  context: CliContext,
  names: readonly string[],
  flags: NamespaceFlags,
  change: (access: ClusterAccess, namespace: NamespaceObject) => Promise<Change>,
  hints: Hints = {},
): Promise<number> {
  return orTwo(() =>
    withCluster(context, flags, async (access) => {
      const results: (Change | { readonly namespace: string; readonly error: string })[] = [];
      for (const name of new Set(names)) {
        try {
          results.push(await change(access, await readNamespace(access, name, hints.absent?.(name))));
        } catch (error) {
          if (!(error instanceof CliError)) throw error;
          results.push({ namespace: name, error: error.message });
        }
      }
      const warning = results.some((result) => !('error' in result)) ? await hints.warning?.(access) : undefined;
      if (warning !== undefined) context.stderr.write(`tulle: warning: ${warning}\n`);
      if (flags.output === 'json') writeJson(context, results);
      else {
        for (const result of results) {
          if ('error' in result) context.stderr.write(`tulle: ${result.error}\n`);
          else {
            writeLines(context, [`${result.namespace}: ${result.state}${result.changed ? '' : ' (as before)'}`]);
            if (result.warning !== undefined) context.stderr.write(`tulle: warning: ${result.warning}\n`);
          }
        }
        const next = results.flatMap((result) => ('next' in result && result.next !== undefined ? [result.next] : []));
        if (next.length > 0)
          writeLines(context, [
            '',
            'what runs already follows when it is restarted:',
            ...next.map((line) => `  ${line}`),
          ]);
      }
      return results.some((result) => 'error' in result) ? 2 : 0;
    }),
  );
}

export async function readNamespace(
  { cluster }: ClusterAccess,
  name: string,
  /** What to do where it is not there. */
  hint?: string,
): Promise<NamespaceObject> {
  try {
    return await cluster.request<NamespaceObject>('GET', `/api/v1/namespaces/${encodeURIComponent(name)}`);
  } catch (error) {
    if (isAbsent(error)) throw new CliError(`there is no namespace ${name}${hint === undefined ? '' : `: ${hint}`}`);
    throw error;
  }
}

/** OSM's key; and where our own is there it would win, so it follows. */
function toPatch(
  { metadata }: NamespaceObject,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
): Patch {
  return { labels: both(metadata.labels, labels), annotations: both(metadata.annotations, annotations) };
}

function both(
  present: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>>,
): Record<string, string> {
  const entries = Object.entries(wanted).flatMap(([key, value]) => [
    [`${osm}/${key}`, value] as const,
    ...(present !== undefined && `${own}/${key}` in present ? [[`${own}/${key}`, value] as const] : []),
  ]);
  return Object.fromEntries(entries);
}

function nulls(present: Readonly<Record<string, string>> = {}, keys: readonly string[]): Record<string, null> {
  const all = keys.flatMap((key) => [`${osm}/${key}`, `${own}/${key}`]);
  return Object.fromEntries(all.filter((key) => key in present).map((key) => [key, null]));
}

/** A merge patch with what differs and nothing else; false: nothing does. */
export async function apply(
  { cluster }: Pick<ClusterAccess, 'cluster'>,
  { metadata }: NamespaceObject,
  { labels = {}, annotations = {} }: Patch,
): Promise<boolean> {
  const body = {
    ...different('labels', metadata.labels, labels),
    ...different('annotations', metadata.annotations, annotations),
  };
  if (Object.keys(body).length === 0) return false;
  await cluster.request('PATCH', `/api/v1/namespaces/${metadata.name}`, {
    contentType: 'application/merge-patch+json',
    body: { metadata: body },
  });
  return true;
}

function different(
  field: string,
  present: Readonly<Record<string, string>> = {},
  wanted: Readonly<Record<string, string | null>>,
): Record<string, Record<string, string | null>> {
  const entries = Object.entries(wanted).filter(([key, value]) => (present[key] ?? null) !== value);
  return entries.length === 0 ? {} : { [field]: Object.fromEntries(entries) };
}

/** The command that restarts the workloads with such pods; undefined: there are none. */
async function restartOf(
  { cluster }: ClusterAccess,
  namespace: string,
  isMeant: (pod: PodObject) => boolean,
): Promise<string | undefined> {
  const all = `kubectl rollout restart deployment,statefulset,daemonset -n ${namespace}`;
  try {
    const { items } = await cluster.request<{ items: readonly PodObject[] }>(
      'GET',
      `/api/v1/namespaces/${namespace}/pods`,
    );
    return items.some((pod) => !isOver(pod) && isMeant(pod)) ? all : undefined;
  } catch (error) {
    // Who may label a namespace may not always read what is in it.
    if (isForbidden(error)) return all;
    throw error;
  }
}
