import type { ProxyState } from '../dashboard/mesh-view.ts';
import { toTable } from './table.ts';

export function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}

/** Refused something, or has not acknowledged the newest state. */
export function isBehind({ types }: ProxyState): boolean {
  return types.some(({ synced, nack }) => !synced || nack !== undefined);
}

export interface Sidecars {
  readonly proxies: readonly ProxyState[];
  /** Pods, `namespace/name`. Absent: all are. */
  readonly served?: ReadonlySet<string>;
}

export function describeProxies({ proxies, served }: Sidecars): readonly string[] {
  if (proxies.length === 0) return ['no sidecar is connected'];
  const rows = proxies.map((proxy) => [
    proxy.pod === '' ? '(a program)' : proxy.pod,
    proxy.kind,
    proxy.identity,
    stateOf(proxy, served === undefined || served.has(proxy.pod)),
  ]);
  return toTable([['POD', 'SIDECAR', 'IDENTITY', 'STATE'], ...rows]);
}

function stateOf({ types }: ProxyState, isServed: boolean): string {
  const refused = types.filter(({ nack }) => nack !== undefined);
  if (refused.length > 0)
    return refused.map(({ typeUrl, nack }) => `refused ${shortType(typeUrl)}: ${nack}`).join('; ');
  const behind = types.filter(({ synced }) => !synced).map(({ typeUrl }) => shortType(typeUrl));
  if (behind.length === 0) return 'in sync';
  const why = isServed ? '' : ': it is not served, as long as its namespace is not in the mesh';
  return `waits for ${behind.join(', ')}${why}`;
}
