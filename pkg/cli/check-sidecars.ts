import type { MeshReport } from '../dashboard/dashboard.ts';
import type { CheckGroup } from './check-report.ts';
import { isReady, type PodObject } from './cluster-pods.ts';
import { shortType } from './proxy-state.ts';

const shown = 5;

/** Whether the sidecars of these pods are connected, and have what they should. */
export function checkSidecars(pods: readonly PodObject[], reports: readonly MeshReport[], group: CheckGroup): void {
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
