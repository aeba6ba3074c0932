import type { MeshReport } from '../dashboard/dashboard.ts';
import { type ControlPlane, isAboutMode } from './check-control-plane.ts';
import type { CheckGroup, CheckReport } from './check-report.ts';
import { type ClusterAccess } from './cluster-access.ts';
import { defaultControlNamespace, defaultMeshName } from './cluster-flags.ts';
import { checkLeft, checkNamespace } from './check-namespace.ts';
import { trialPrefix } from './check-objects.ts';
import { findRefusedWorkloads } from './check-refused-pods.ts';
import { checkSidecars } from './check-sidecars.ts';
import { hasSidecar, isOver, type PodObject } from './cluster-pods.ts';
import { isIgnored, meshOf, type NamespaceObject } from './namespace-state.ts';
import { toOneLine } from './cluster-text.ts';
import { plural } from './plural.ts';

/** Namespaces, pods and sidecars of the mesh. */
export async function checkMesh(
  access: ClusterAccess,
  plane: ControlPlane,
  report: CheckReport,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, meshName, controlNamespace } = access;
  const { items } = await cluster.request<{ readonly items: readonly NamespaceObject[] }>('GET', '/api/v1/namespaces', {
    signal,
  });
  const mine = items
    .filter((each) => meshOf(each) === meshName && !isIgnored(each) && each.metadata.deletionTimestamp === undefined)
    .filter(({ metadata }) => !metadata.name.startsWith(trialPrefix));
  const namespaces = report.group('namespaces');
  if (mine.length === 0) {
    namespaces.warning(
      'none is in the mesh',
      `nothing has the label for mesh ${meshName}`,
      'tulle namespace add NAMESPACE',
    );
  }
  const pods: PodObject[] = [];
  let isBlind = false;
  for (const namespace of mine) {
    const { name } = namespace.metadata;
    const list = await cluster.request<{ readonly items: readonly PodObject[] }>(
      'GET',
      `/api/v1/namespaces/${name}/pods`,
      { signal },
    );
    const living = list.items.filter((pod) => !isOver(pod));
    const refused = await findRefusedWorkloads(access, name, signal);
    isBlind ||= refused === undefined;
    checkNamespace(namespace, living, refused ?? [], { ...plane, controlNamespace }, namespaces);
    pods.push(...living.filter(hasSidecar));
  }
  if (isBlind)
    namespaces.warning(
      'events',
      "you may not read them: pods that can't be created are not seen",
      'list events is needed: the ClusterRole view gives it',
    );
  checkLeft(plane.reports, namespaces);
  checkSidecars(pods, new Set(mine.map(({ metadata }) => metadata.name)), plane.reports, report.group('sidecars'));
  checkProblems(plane.reports, access, report.group('policy'));
}

function checkProblems([mesh]: readonly MeshReport[], access: ClusterAccess, group: CheckGroup): void {
  // What has a line above is not told twice.
  const problems = (mesh?.problems ?? []).filter(
    (problem) => problem.reason !== 'NamespaceLeft' && !isAboutMode(problem),
  );
  const count = (severity: string): number => problems.filter((problem) => problem.severity === severity).length;
  const [errors, warnings] = [count('error'), count('warning')];
  if (errors + warnings === 0) {
    group.ok('no problems in the objects of the mesh');
    return;
  }
  const first = problems.find(({ severity }) => severity === (errors > 0 ? 'error' : 'warning'));
  const example = first
    ? toOneLine(`${first.resource.kind} ${first.resource.namespace}/${first.resource.name}: ${first.message}`)
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
