import type { Outcome } from '../problem/problem.ts';
import { decodeHTTPRouteGroup } from './http-route-group/decode.ts';
import type { HubObject } from './hub.ts';
import { decodeIdentityBinding } from './identity-binding/decode.ts';
import { type SmiObject, smiKinds } from './kinds.ts';
import { decodeMeta, looseName } from './meta.ts';
import { createReader, isJsonObject, type JsonObject, type ObjectReader } from './reader.ts';
import { decodeTCPRoute } from './tcp-route/decode.ts';
import { decodeTrafficSplit } from './traffic-split/decode.ts';
import { decodeTrafficTarget } from './traffic-target/decode.ts';
import { decodeUDPRoute } from './udp-route/decode.ts';

type Decode = (raw: JsonObject, meta: HubObject, version: string, reader: ObjectReader) => SmiObject | undefined;

/** One line per kind: to add a kind, add its folder and its line. */
const decoders: Readonly<Record<(typeof smiKinds)[number]['kind'], Decode>> = {
  TrafficTarget: decodeTrafficTarget,
  IdentityBinding: decodeIdentityBinding,
  HTTPRouteGroup: decodeHTTPRouteGroup,
  TCPRoute: decodeTCPRoute,
  UDPRoute: decodeUDPRoute,
  TrafficSplit: decodeTrafficSplit,
};

/** Is this a kind of SMI, in whatever version? By group and kind: TCPRoute is also in Gateway API. */
export function isSmiObject(apiVersion: string, kind: string): boolean {
  const [group] = apiVersion.split('/');
  return smiKinds.some((known) => known.group === group && known.kind === kind);
}

/**
 * Decodes an SMI object of any version to its hub form. Never throws, whatever came.
 *
 * Undefined: nothing of the object is in force. What can't be understood grants nothing and never widens: it is left
 * out where leaving out is narrower, and kept with `broken` or as an empty list where it isn't.
 *
 * Problems are those that can be told from this object alone: FieldMissing, FieldInvalid, FieldUnknown,
 * UnknownVersion, Regex*, DuplicateMatch, WeightInvalid. The rest (references, empty sources, rules and backends, zero
 * sums, the root) is for who knows the mesh. Fields are JSON pointers into the object *as it was written*:
 * `toWrittenField` gives the same for a hub field.
 */
export function decodeSmiObject(raw: unknown): Outcome<SmiObject | undefined> {
  const object = isJsonObject(raw) ? raw : {};
  const apiVersion = typeof object['apiVersion'] === 'string' ? object['apiVersion'] : '';
  const kind = typeof object['kind'] === 'string' ? object['kind'] : '';
  const [group, version = ''] = apiVersion.split('/');
  const reader = createReader({ apiVersion, kind, ...looseName(object) });
  const known = smiKinds.find((candidate) => candidate.group === group && candidate.kind === kind);
  if (known === undefined) {
    const message = `"${apiVersion}" has no kind "${kind}" that SMI knows`;
    reader.report('/kind', 'KindUnsupported', message, 'correct apiVersion and kind');
    return { value: undefined, problems: reader.problems };
  }
  const versions: readonly string[] = known.versions;
  if (!versions.includes(version) || apiVersion !== `${known.group}/${version}`) {
    const message = `${kind} has no version "${version}" in ${known.group}, so nothing of it is in force`;
    reader.report('/apiVersion', 'UnknownVersion', message, `use one of ${versions.join(', ')}`);
    return { value: undefined, problems: reader.problems };
  }
  const meta = decodeMeta(object, apiVersion, reader);
  const value = meta && decoders[known.kind](object, meta, version, reader);
  return { value, problems: reader.problems };
}

/**
 * The JSON pointer of a hub field in an object as it was written: `/spec/rules/0/name` of a TrafficTarget of access
 * v1alpha1 is `/specs/0/name` there.
 */
export function toWrittenField(object: { readonly apiVersion: string; readonly kind: string }, field: string): string {
  const version = object.apiVersion.split('/')[1];
  if (object.kind === 'TrafficTarget' && version === 'v1alpha1') {
    return field.replace(/^\/spec\/rules(?=\/|$)/, '/specs').replace(/^\/spec(?=\/)/, '');
  }
  const topLevel = object.kind === 'HTTPRouteGroup' && (version === 'v1alpha1' || version === 'v1alpha2');
  return topLevel ? field.replace(/^\/spec(?=\/)/, '') : field;
}
