import { encodeHTTPRouteGroup } from './http-route-group/encode.ts';
import { encodeIdentityBinding } from './identity-binding/encode.ts';
import type { SmiObject } from './kinds.ts';
import type { JsonObject } from './reader.ts';
import { encodeTCPRoute } from './tcp-route/encode.ts';
import { encodeTrafficSplit } from './traffic-split/encode.ts';
import { encodeTrafficTarget } from './traffic-target/encode.ts';
import { encodeUDPRoute } from './udp-route/encode.ts';

/**
 * Writes a hub object back in the version it came in. What decodes from it again is the same hub object.
 *
 * Undefined: a part of the object did not decode, and what would be written without it could mean more than was
 * written. Not in the hub form, and so not written: `group` and `apiGroup` of references, the object shape of headers,
 * the spelling of a Quantity, `status`, and metadata beyond names, labels, annotations and the time of creation.
 */
export function encodeSmiObject(object: SmiObject): JsonObject | undefined {
  const { apiVersion, kind, name, namespace, labels, annotations, creationTimestamp } = object;
  const fields = encodeFields(object, apiVersion.split('/')[1] ?? '');
  if (fields === undefined) return undefined;
  const metadata = {
    name,
    namespace,
    ...(Object.keys(labels).length > 0 && { labels: { ...labels } }),
    ...(Object.keys(annotations).length > 0 && { annotations: { ...annotations } }),
    ...(creationTimestamp !== undefined && { creationTimestamp }),
  };
  return { apiVersion, kind, metadata, ...fields };
}

function encodeFields(object: SmiObject, version: string): JsonObject | undefined {
  switch (object.kind) {
    case 'TrafficTarget':
      return encodeTrafficTarget(object, version);
    case 'IdentityBinding':
      return encodeIdentityBinding(object);
    case 'HTTPRouteGroup':
      return encodeHTTPRouteGroup(object, version);
    case 'TCPRoute':
      return encodeTCPRoute(object, version);
    case 'UDPRoute':
      return encodeUDPRoute(object, version);
    case 'TrafficSplit':
      return encodeTrafficSplit(object, version);
  }
}
