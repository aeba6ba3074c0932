import type { MeshReport } from '../dashboard/dashboard.ts';
import { injectedKey, modeKey } from '../provider/objects/mesh-keys.ts';
import type { ControlPlane } from './check-control-plane.ts';
import type { CheckGroup } from './check-report.ts';
import type { RefusedWorkload } from './check-refused-pods.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { controllerService } from './controller-api.ts';
import { hasSidecar, isOptedOut, type PodObject } from './cluster-pods.ts';
import {
  allowPrivileged,
  type NamespaceObject,
  stateOf,
  strictPodSecurity,
  unclearSwitches,
} from './namespace-state.ts';
import { plural } from './plural.ts';

const shown = 5;

/** One namespace of the mesh: its mode, whether pods can be created in it, and whether they have their sidecars. */
export function checkNamespace(
  namespace: NamespaceObject,
  pods: readonly PodObject[],
  refused: readonly RefusedWorkload[],
  { reports, version, controlNamespace }: ControlPlane & Pick<ClusterAccess, 'controlNamespace'>,
  group: CheckGroup,
): void {
  const { name, annotations } = namespace.metadata;
  const { mode, unknownMode, injection } = stateOf(namespace);
  let isWell = true;
  const error = (detail: string, hint: string): void => ((isWell = false), group.error(name, detail, hint));
  const warning = (detail: string, hint: string): void => ((isWell = false), group.warning(name, detail, hint));

  if (unknownMode !== undefined) {
    const verb = annotations?.[modeKey] === undefined ? 'label' : 'annotate';
    error(
      `enforce, since "${unknownMode}" is no mode`,
      `kubectl ${verb} namespace ${name} --overwrite ${modeKey}=enforce, or permissive or shadow`,
    );
  }
  for (const { key, value } of unclearSwitches(namespace))
    error(
      `every new pod is refused, since its annotation ${key} is "${value}"`,
      `kubectl annotate namespace ${name} --overwrite ${key}=enabled, or disabled`,
    );
  for (const workload of refused.slice(0, shown))
    error(describeRefused(workload), hintOf(name, workload, controlNamespace));
  if (refused.length > shown)
    error(
      `${refused.length - shown} more workloads lack pods that can't be created`,
      `kubectl get events -n ${name} --field-selector reason=FailedCreate`,
    );
  const injected = pods.filter(hasSidecar);
  const bare = pods.filter((pod) => !hasSidecar(pod) && !isOptedOut(pod));
  const restart = `kubectl rollout restart deployment,statefulset,daemonset -n ${name}`;
  const isOff = injection === 'disabled';
  const admission = strictPodSecurity(namespace);
  const isTold = refused.some(({ message }) => isPodSecurity(message));
  if (!isOff && !isTold && admission !== undefined)
    warning(`Pod Security "${admission}" refuses the init container that redirects traffic`, allowPrivileged(name));
  const stale = injected.filter(
    ({ metadata }) => version !== undefined && metadata.annotations?.[injectedKey] !== version,
  );
  if (isOff && injected.length === 0)
    warning('its pods get no sidecar', `tulle namespace add ${name}, unless that is meant`);
  else if (!isOff && bare.length > 0)
    warning(`${bare.length} of ${pods.length} pods have no sidecar: ${listOf(bare)}`, restart);
  else if (stale.length > 0)
    warning(`${plural(stale.length, 'pod')} with a sidecar of another version: ${listOf(stale)}`, restart);
  if (!isWell) return;
  const [mesh] = reports;
  const holds =
    mode === undefined ? `${mesh?.mode ?? ''}, by ${mesh?.modeFrom ?? ''}` : `${mode}, by its own annotation`;
  group.ok(name, `${holds}; ${plural(injected.length, 'pod')} with sidecar`);
}

function describeRefused({ kind, name, pods, message }: RefusedWorkload): string {
  const count = pods === undefined ? 'lacks pods' : `has ${pods.there} of ${pods.wanted} pods`;
  return `${kind} ${name} ${count}: ${message}`;
}

function hintOf(namespace: string, { kind, name, message }: RefusedWorkload, controlNamespace: string): string {
  if (isPodSecurity(message)) return allowPrivileged(namespace);
  if (message.includes('exceeded quota') || message.includes('failed quota'))
    return `kubectl describe resourcequota -n ${namespace}`;
  if (/(?:maximum|minimum) \S+ usage per|limit to request ratio/.test(message))
    return `kubectl describe limitrange -n ${namespace}; the sidecar's are set by tulle.dev/sidecar-{cpu,memory}-{request,limit} on pods`;
  if (/failed calling webhook .*injector\.tulle\.dev/.test(message))
    return `the API server must reach the injector, on port 9090: kubectl logs -n ${controlNamespace} deployment/${controllerService}`;
  return `kubectl describe ${kind.toLowerCase()} -n ${namespace} ${name}`;
}

function isPodSecurity(message: string): boolean {
  return message.includes('violates PodSecurity');
}

/** Namespaces whose pods run on with sidecars though they are not in the mesh. */
export function checkLeft(reports: readonly MeshReport[], group: CheckGroup): void {
  // Every replica says the same.
  for (const { resource, reason, message, fix } of reports[0]?.problems ?? []) {
    if (reason === 'NamespaceLeft') group.warning(resource.name, message, fix);
  }
}

function listOf(pods: readonly PodObject[]): string {
  const names = pods.slice(0, shown).map(({ metadata }) => metadata.name);
  return `${names.join(', ')}${pods.length > shown ? ` and ${pods.length - shown} more` : ''}`;
}
