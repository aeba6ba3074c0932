import type { XdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import { rbacKeys, rbacMetadata } from '../../pkg/envoy-config/rbac.ts';
import { rehearsedReason } from '../../pkg/envoy-config/refusal-reason.ts';

/** What both Envoys of a call found out, told in the answer itself: nobody has to wait for a span. */
export const tellingHeaders = {
  backend: 'x-told-backend',
  pod: 'x-told-pod',
  reason: 'x-told-reason',
  shadow: 'x-told-shadow',
} as const;

/** Where a TCP connection came from, in the line of the access log that is about it. */
const tellingPeer = 'told_peer';

const outbound = [
  toHeader(tellingHeaders.backend, '%METADATA(CLUSTER:tulle:backend)%'),
  toHeader(tellingHeaders.pod, '%UPSTREAM_METADATA(tulle:pod)%'),
];
const inbound = [
  toHeader(tellingHeaders.reason, rehearsedReason),
  toHeader(tellingHeaders.shadow, `%DYNAMIC_METADATA(${rbacMetadata}:${rbacKeys.rehearsed})%`),
];

function toHeader(key: string, value: string): object {
  return { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' };
}

const told = new WeakMap<object, object>();

/** The same resources, which tell: headers in answers, and one more field in the log of connections. Nothing else differs. */
export function toTelling(resources: XdsResources): XdsResources {
  const all = <T extends object>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
    new Map([...map].map(([name, resource]) => [name, once(resource)]));
  return {
    ...resources,
    listeners: all(resources.listeners),
    routes: all(resources.routes),
    scopes: all(resources.scopes),
  };
}

/** The same object for the same object: what did not change isn't sent again. */
function once<T extends object>(resource: T): T {
  const known = told.get(resource) ?? (walk(resource) as object);
  told.set(resource, known);
  return known as T;
}

function walk(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(walk);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.fromEntries(Object.entries(value).map(([key, field]) => [key, walk(field)]));
  if ('virtual_hosts' in fields) {
    const headers = String(fields['name']).startsWith('inbound/') ? inbound : outbound;
    return { ...fields, response_headers_to_add: headers };
  }
  const { json_format: format } = fields as { json_format?: object };
  if (format !== undefined)
    return { ...fields, json_format: { ...format, [tellingPeer]: '%DOWNSTREAM_REMOTE_ADDRESS%' } };
  return fields;
}
