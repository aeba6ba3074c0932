import type { LeafNames } from './certificate.ts';

/** The server that sidecars take their configuration from says this name, wherever it listens. */
export const controllerName = 'controller.tulle';

/**
 * What the certificate of a workload says: its SPIFFE ID, and `<account>.<namespace>.<trust domain>` for peers that check
 * DNS names (DECISIONS I1). The control plane's own has its DNS name alone.
 */
export function toLeafNames(owner: string): LeafNames {
  if (owner === controllerName) return { uris: [], dnsNames: [controllerName] };
  const [, domain, namespace, account] = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(owner) ?? [];
  if (domain === undefined || namespace === undefined || account === undefined) {
    throw new Error(`not the identity of a workload: ${JSON.stringify(owner)}`);
  }
  return { uris: [owner], dnsNames: [`${account}.${namespace}.${domain}`] };
}
