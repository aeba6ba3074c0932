import { toServiceAccount } from '../policy/identity.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { EndpointSetKey, ServicePortKey } from '../policy/outbound.ts';

/** Names of Envoy resources. They appear in stats, logs and the admin pages: people read them. */

/** A resource, by what it is asked for. */
export type Named<T> = readonly [string, T];

export function toNamed<T extends { readonly name: string }>(resource: T): Named<T> {
  return [resource.name, resource];
}

/** Secrets that the control plane issues to every proxy: its certificate, and the roots of the mesh. */
export const identitySecret = 'identity';
export const rootsSecret = 'roots';

/** The validation context of a TCP port: the roots and exactly the accounts that may connect (DECISIONS E3). */
export function peersSecret(port: number): string {
  return `peers/${port}`;
}

/** Static clusters of the bootstrap. */
export const xdsCluster = 'tulle-xds';
export const otlpCluster = 'tulle-otlp';

export const inboundListener = 'inbound';
export const outboundListener = 'outbound';
export const proxyListener = 'proxy';

export function inboundPortListener(port: number): string {
  return `inbound/${port}`;
}

export function virtualListener(key: ServicePortKey, address: string): string {
  return `outbound/${key}/${address}`;
}

/** The listener inside of Envoy that a CONNECT through the explicit proxy ends at. */
export function internalListener(key: ServicePortKey): string {
  return `outbound/${key}/internal`;
}

/** The RouteConfiguration of a Service port. */
export function outboundRoutes(key: ServicePortKey): string {
  return `outbound/${key}`;
}

export function inboundRoutes(port: number): string {
  return `inbound/${port}`;
}

/** A piece of the address book, which all share. */
export function addressPiece(digit: string): string {
  return `addresses/${digit}`;
}

/** All routes by dialled address. */
export const scopedRoutes = 'outbound';

export const proxyRoutes = 'proxy';

export function endpointsCluster(key: EndpointSetKey): string {
  return key;
}

/** TCP to a Service port: all backends of its split as localities of one cluster (DECISIONS E5). */
export function tcpCluster(key: ServicePortKey): string {
  return `tcp/${key}`;
}

export function appCluster(port: number): string {
  return `app/${port}`;
}

/** The same app, for requests whose trace begins here: their headers are completed last (b3.ts). */
export function firstHopCluster(port: number): string {
  return `app/${port}/first`;
}

export function internalCluster(key: ServicePortKey): string {
  return `internal/${key}`;
}

/** What is not of the mesh, as it is. */
export const passthroughCluster = 'passthrough';

/** The pod's own address, at the port that was dialled. */
export const ownAddressCluster = 'own-address';

/**
 * Where what comes in for a port without Service comes from, for the app: the packet rules let it pass (tulle-rules.sh),
 * where the sidecar's own calls to its pod are led in by the front door.
 */
export const ownAddressSource = '127.0.0.6';

/** What is not of the mesh, by its name: for the explicit proxy. */
export const egressName = 'egress';

/** The loopback port of a TCP service. */
export function tcpPortListener(key: ServicePortKey): string {
  return `tcp/${key}`;
}

/** Accepts a connection inside of Envoy, and closes it. */
export const nobodyListener = 'nobody';

/** No endpoint: a connection that is sent here is closed. */
export const nowhereCluster = 'nowhere';

/** What calls name a workload's port by: the first Service that leads there. */
export function toServiceOf(port: number, services: readonly string[]): string {
  return `${services[0] ?? 'unknown/unknown'}:${port}`;
}

/** `namespace/serviceaccount` */
export function toAccountName(identity: ServiceIdentity | ''): string {
  const account = identity === '' ? undefined : toServiceAccount(identity);
  return account ? `${account.namespace}/${account.name}` : '';
}

/** `bookstore.bookstore:14001` of `bookstore/bookstore:14001`: how spans name a Service port. */
export function toSpanName(key: ServicePortKey): string {
  const [, namespace, name, port] = /^([^/]+)\/(.+):(\d+)$/.exec(key) ?? [];
  return namespace === undefined ? key : `${name}.${namespace}:${port}`;
}
