import type { JsonObject } from './envoy-types.ts';
import { rbacKeys, rbacMetadata } from './rbac.ts';

/**
 * The reasons of `decideInbound` (DECISIONS S11), asked of a request that no rule allowed: whom the rules name comes with
 * the routes, in the metadata of their virtual host, so that the question itself never changes.
 */

const metadataKey = 'tulle';
const sourcesKey = 'sources';
const sources = `xds.virtual_host_metadata.filter_metadata['${metadataKey}']['${sourcesKey}']`;

// Routes without a policy open nothing (http-filters.ts).
const reason =
  `!('${metadataKey}' in xds.virtual_host_metadata.filter_metadata) ? 'NoPolicy' : !connection.mtls ? 'PlaintextRefused' : size(${sources}) == 0 ? 'NoTarget' : ` +
  `connection.uri_san_peer_certificate in ${sources} ? 'RequestNotAllowed' : 'SourceNotAllowed'`;

/** Everyone whom some rule of the workload names. */
export function toNamedSources(names: readonly string[]): { readonly filter_metadata: Record<string, JsonObject> } {
  return { filter_metadata: { [metadataKey]: { [sourcesKey]: names } } };
}

/** Where it is known that the request is refused. */
export const refusalReason = `%CEL(${reason})%`;

export const reasonHeader = 'x-tulle-reason';

/** Once an answer of the sidecar itself has its headers: no other has this one. */
export const toldReason = `%RESP(${reasonHeader})%`;

const wouldDeny = `metadata.filter_metadata['${rbacMetadata}']['${rbacKeys.wouldResult}'] == 'denied'`;

/** Nothing where a rule allows the request. */
export const rehearsedReason = `%CEL(${wouldDeny} ? (${reason}) : '')%`;
export const rehearsedVerdict = `%CEL(${wouldDeny} ? 'would-deny' : '')%`;
