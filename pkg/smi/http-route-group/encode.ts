import type { JsonObject } from '../reader.ts';
import type { HTTPRouteGroup } from './http-route-group.ts';

/**
 * The fields of an HTTPRouteGroup as `version` has them; undefined when a match between others did not decode.
 * Headers are written as the list of the released specification: an object could not hold one name twice.
 */
export function encodeHTTPRouteGroup(group: HTTPRouteGroup, version: string): JsonObject | undefined {
  if (group.matches.some(({ index }, i) => index !== i)) return undefined;
  const matches = group.matches.map(({ name, pathRegex, methods, headers }) => ({
    name,
    ...(pathRegex !== undefined && { pathRegex }),
    ...(methods && { methods: [...methods] }),
    ...(headers && { headers: headers.map((header) => ({ [header.name]: header.value })) }),
  }));
  return version === 'v1alpha1' || version === 'v1alpha2' ? { matches } : { spec: { matches } };
}
