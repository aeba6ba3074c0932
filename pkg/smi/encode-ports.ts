import type { JsonObject } from './reader.ts';

/** The fields of a TCPRoute or UDPRoute as `version` has them; undefined when its ports did not decode. */
export function encodePorts(ports: readonly number[] | undefined, version: string): JsonObject | undefined {
  // An empty list would be read as "all".
  if (ports?.length === 0) return undefined;
  const matches = ports && { matches: { ports: [...ports] } };
  if (version === 'v1alpha1' || version === 'v1alpha2') return matches ?? {};
  if (version === 'v1alpha3') return { spec: matches ?? {} };
  // The schema of v1alpha4 that went out with the specification requires the list.
  return { spec: matches ?? { matches: { ports: [] } } };
}
