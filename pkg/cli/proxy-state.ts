import type { ProxyState } from '../dashboard/mesh-view.ts';
import { toTable } from './table.ts';

export function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}

/** Refused something, or has not acknowledged the newest state. */
export function isBehind({ types }: ProxyState): boolean {
  return types.some(({ synced, nack }) => !synced || nack !== undefined);
}

export function describeProxies(proxies: readonly ProxyState[]): readonly string[] {
  if (proxies.length === 0) return ['no sidecar is connected'];
  const rows = proxies.map((proxy) => [
    proxy.pod === '' ? '(a program)' : proxy.pod,
    proxy.kind,
    proxy.identity,
    stateOf(proxy),
  ]);
  return toTable([['POD', 'SIDECAR', 'IDENTITY', 'STATE'], ...rows]);
}

function stateOf({ types }: ProxyState): string {
  const refused = types.filter(({ nack }) => nack !== undefined);
  if (refused.length > 0)
    return refused.map(({ typeUrl, nack }) => `refused ${shortType(typeUrl)}: ${nack}`).join('; ');
  const behind = types.filter(({ synced }) => !synced).map(({ typeUrl }) => shortType(typeUrl));
  return behind.length > 0 ? `waits for ${behind.join(', ')}` : 'in sync';
}
