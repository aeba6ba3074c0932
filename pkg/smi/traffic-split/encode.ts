import type { JsonObject } from '../reader.ts';
import type { TrafficSplit } from './traffic-split.ts';

/** The fields of a TrafficSplit as `version` has them; undefined when a part of it did not decode. */
export function encodeTrafficSplit(split: TrafficSplit, version: string): JsonObject | undefined {
  const { service, backends, matches } = split;
  if (backends.some(({ index }, i) => index !== i)) return undefined;
  // An empty list would be read as "all requests".
  if (matches?.length === 0 || matches?.some(({ broken }) => broken)) return undefined;
  return {
    spec: {
      service,
      backends: backends.map(({ service: backend, weight }) => ({
        service: backend,
        // A Quantity is written as text.
        weight: version === 'v1alpha1' ? String(weight) : weight,
      })),
      ...(matches && { matches: matches.map(({ kind, name }) => ({ kind, name })) }),
    },
  };
}
