import type { MeshReport } from '../dashboard/dashboard.ts';
import { injectedKey } from '../provider/objects/mesh-keys.ts';
import type { ControlPlane } from './check-control-plane.ts';
import type { CheckGroup, CheckReport } from './check-report.ts';
import { type ClusterAccess } from './cluster-access.ts';
import { defaultControlNamespace, defaultMeshName } from './cluster-flags.ts';
import { hasSidecar, isOptedOut, isOver, isReady, type PodObject } from './cluster-pods.ts';
import { isIgnored, meshOf, type NamespaceObject, stateOf } from './namespace-state.ts';
import { plural } from './plural.ts';
import { shortType } from './proxy-state.ts';

const shown = 5;

/** Namespaces, pods and sidecars of the mesh. */
export async function checkMesh(
  access: ClusterAccess,
  plane: ControlPlane,
  report: CheckReport,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, meshName } = access;
  const { items } = await cluster.request<{ readonly items: readonly NamespaceObject[] }>('GET', '/api/v1/namespaces', {
    signal,
  });
  const mine = items
    .filter((each) => meshOf(each) === meshName && !isIgnored(each) && each.metadata.deletionTimestamp === undefined)
    .filter(({ metadata }) => !metadata.name.startsWith('tulle-check-'));
  const namespaces = report.group('namespaces');
  if (mine.length === 0) {
    namespaces.warning(
      'none is in the mesh',
      `nothing has the label for mesh ${meshName}`,
      'tulle namespace add NAMESPACE',
    );
  }
  const pods: PodObject[] = [];
  for (const namespace of mine) {
    const { name } = namespace.metadata;
    const list = await cluster.request<{ readonly items: readonly PodObject[] }>(
      'GET',
      `/api/v1/namespaces/${name}/pods`,
      { signal },
    );
    const living = list.items.filter((pod) => !isOver(pod));
    checkNamespace(namespace, living, plane, namespaces);
    pods.push(...living.filter(hasSidecar));
  }
  checkLeft(plane.reports, namespaces);
  checkProxies(pods, plane.reports, report.group('sidecars'));
  checkProblems(plane.reports, access, report.group('policy'));
}

function checkNamespace(
  namespace: NamespaceObject,
  pods: readonly PodObject[],
  { reports, version }: ControlPlane,
  group: CheckGroup,
): void {
  const { name, labels } = namespace.metadata;
  const { mode, injection } = stateOf(namespace);
  const [mesh] = reports;
  const holds =
    mode === undefined ? `${mesh?.mode ?? ''}, by ${mesh?.modeFrom ?? ''}` : `${mode}, by its own annotation`;
  const injected = pods.filter(hasSidecar);
  const bare = pods.filter((pod) => !hasSidecar(pod) && !isOptedOut(pod));
  const restart = `kubectl rollout restart deployment,statefulset,daemonset -n ${name}`;
  const admission = labels?.['pod-security.kubernetes.io/enforce'];
  if (admission === 'restricted' || admission === 'baseline')
    group.warning(
      name,
      `Pod Security "${admission}" refuses the init container that redirects traffic`,
      `kubectl label namespace ${name} pod-security.kubernetes.io/enforce=privileged --overwrite`,
    );
  if (injection === 'disabled') {
    if (injected.length === 0) {
      group.warning(name, 'its pods get no sidecar', `tulle namespace add ${name}, unless that is meant`);
      return;
    }
  } else if (bare.length > 0) {
    group.warning(name, `${bare.length} of ${pods.length} pods have no sidecar: ${listOf(bare)}`, restart);
    return;
  }
  const stale = injected.filter(
    ({ metadata }) => version !== undefined && metadata.annotations?.[injectedKey] !== version,
  );
  if (stale.length > 0)
    group.warning(name, `${stale.length} pods have a sidecar of another version: ${listOf(stale)}`, restart);
  else group.ok(name, `${holds}; ${plural(injected.length, 'pod')} with sidecar`);
}

/** Namespaces whose pods run on with sidecars though they are not in the mesh. */
function checkLeft(reports: readonly MeshReport[], group: CheckGroup): void {
  // Every replica says the same.
  for (const { resource, reason, message, fix } of reports[0]?.problems ?? []) {
    if (reason === 'NamespaceLeft') group.warning(resource.name, message, fix);
  }
}

function listOf(pods: readonly PodObject[]): string {
  const names = pods.slice(0, shown).map(({ metadata }) => metadata.name);
  return `${names.join(', ')}${pods.length > shown ? ` and ${pods.length - shown} more` : ''}`;
}

function checkProxies(pods: readonly PodObject[], reports: readonly MeshReport[], group: CheckGroup): void {
  const proxies = reports.flatMap((report) => report.proxies);
  const connected = new Set(proxies.map(({ pod }) => pod));
  const lost = pods.filter(({ metadata }) => !connected.has(`${metadata.namespace}/${metadata.name}`));
  const [waiting, silent] = [lost.filter((pod) => !isReady(pod)), lost.filter(isReady)];
  for (const { metadata } of silent.slice(0, shown))
    group.error(
      `${metadata.namespace}/${metadata.name}`,
      'its sidecar is not connected: it keeps the policy that it had',
      `kubectl logs -n ${metadata.namespace} ${metadata.name} -c envoy`,
    );
  for (const { metadata } of waiting.slice(0, shown))
    group.warning(
      `${metadata.namespace}/${metadata.name}`,
      'is not ready, and its sidecar not connected yet',
      `kubectl describe pod -n ${metadata.namespace} ${metadata.name}`,
    );
  const refused = proxies.filter(({ types }) => types.some(({ nack }) => nack !== undefined));
  for (const { pod, types } of refused.slice(0, shown)) {
    const why = types
      .filter(({ nack }) => nack !== undefined)
      .map(({ typeUrl, nack }) => `${shortType(typeUrl)}: ${nack}`);
    group.error(pod, `its sidecar refused ${why.join('; ')}`, 'this is a fault of Tulle: please report it');
  }
  const behind = proxies.filter(({ types }) => types.some(({ synced, nack }) => !synced && nack === undefined));
  if (behind.length > 0)
    group.warning(
      'in sync',
      `${behind.length} of ${proxies.length} wait for an acknowledgement`,
      'look again; tulle proxy status names them',
    );
  if (silent.length + refused.length + behind.length === 0)
    group.ok('connected and in sync', `${proxies.length} of ${pods.length === 0 ? proxies.length : pods.length}`);
}

function checkProblems([mesh]: readonly MeshReport[], access: ClusterAccess, group: CheckGroup): void {
  // What has a line among the namespaces is not told twice.
  const problems = (mesh?.problems ?? []).filter(({ reason }) => reason !== 'NamespaceLeft');
  const count = (severity: string): number => problems.filter((problem) => problem.severity === severity).length;
  const [errors, warnings] = [count('error'), count('warning')];
  if (errors + warnings === 0) {
    group.ok('no problems in the objects of the mesh');
    return;
  }
  const first = problems.find(({ severity }) => severity === (errors > 0 ? 'error' : 'warning'));
  const example = first
    ? `${first.resource.kind} ${first.resource.namespace}/${first.resource.name}: ${first.message}`
    : '';
  const counts = [
    ...(errors > 0 ? [plural(errors, 'error')] : []),
    ...(warnings > 0 ? [plural(warnings, 'warning')] : []),
  ].join(', ');
  group.warning(counts, example, `tulle analyze${flagsOf(access)}`);
}

/** What a command needs to look at the same mesh. */
function flagsOf({ cluster, controlNamespace, meshName }: ClusterAccess): string {
  return [
    ...(cluster.context === undefined ? [] : [` --context ${cluster.context}`]),
    ...(controlNamespace === defaultControlNamespace ? [] : [` --control-namespace ${controlNamespace}`]),
    ...(meshName === defaultMeshName ? [] : [` --mesh-name ${meshName}`]),
  ].join('');
}
