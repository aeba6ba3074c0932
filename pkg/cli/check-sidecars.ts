import type { MeshReport } from '../dashboard/dashboard.ts';
import type { ProxyState } from '../dashboard/mesh-view.ts';
import { trialPrefix } from './check-objects.ts';
import type { CheckGroup } from './check-report.ts';
import { isReady, type PodObject } from './cluster-pods.ts';
import { plural } from './plural.ts';
import { shortType } from './proxy-state.ts';

const shown = 5;

/** Whether the sidecars of these pods, of these namespaces, are connected and have what they should. */
export function checkSidecars(
  pods: readonly PodObject[],
  namespaces: ReadonlySet<string>,
  reports: readonly MeshReport[],
  group: CheckGroup,
): void {
  const all = reports.flatMap((report) => report.proxies).filter(({ pod }) => !pod.startsWith(trialPrefix));
  // A namespace that left is served until its pods are restarted, and then its pods are told.
  const served = new Set(reports.flatMap((report) => report.pods ?? []).map(({ pod }) => pod));
  const isWatched = ({ pod }: ProxyState): boolean => namespaces.has(namespaceOf(pod)) || served.has(pod);
  const proxies = all.filter(isWatched);
  checkUnserved(
    all.filter((proxy) => !isWatched(proxy) && proxy.pod !== ''),
    group,
  );
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
    group.ok('connected and in sync', `${pods.length - lost.length} of ${pods.length}`);
}

/** Nobody tells them anything any more, so they are never in sync. */
function checkUnserved(proxies: readonly ProxyState[], group: CheckGroup): void {
  if (proxies.length === 0) return;
  const places = [...new Set(proxies.map(({ pod }) => namespaceOf(pod)))].sort();
  const [goOn, were] = proxies.length === 1 ? ['goes on', 'it was'] : ['go on', 'they were'];
  const are = proxies.length === 1 ? 'it is' : 'they are';
  group.warning(
    'not in the mesh',
    `${plural(proxies.length, 'sidecar')} in ${places.join(', ')} ${goOn} with what ${were} told last, until ${are} restarted`,
    places.map((name) => `kubectl rollout restart deployment,statefulset,daemonset -n ${name}`).join('; '),
  );
}

function namespaceOf(pod: string): string {
  return pod.slice(0, pod.indexOf('/'));
}
