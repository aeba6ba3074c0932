import type { LeafNames } from './certificate.ts';

/** The server that sidecars take their configuration from says this name, wherever it listens. */
export const controllerName = 'controller.tulle';

/**
 * What the certificate of a workload says: its SPIFFE ID, and `<account>.<namespace>.<trust domain>` for peers that check
 * DNS names (DECISIONS I1). Not where that could be the name of a Service, `bank.pay.svc.cluster.local`: who may create
 * accounts may not be somebody's server. The control plane's own has DNS names alone: its fixed one, and those of its
 * Service.
 */
export function toLeafNames(owner: string, serviceNames: readonly string[] = []): LeafNames {
  if (owner === controllerName) return { uris: [], dnsNames: [controllerName, ...serviceNames] };
  const [, domain, namespace, account] = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(owner) ?? [];
  if (domain === undefined || namespace === undefined || account === undefined) {
    throw new Error(`not the identity of a workload: ${JSON.stringify(owner)}`);
  }
  const isName = !account.includes('.') && namespace !== 'svc' && !/^svc(\.|$)/.test(domain);
  return { uris: [owner], dnsNames: isName ? [`${account}.${namespace}.${domain}`] : [] };
}
