import type { JsonObject } from '../reader.ts';
import type { IdentitySubject, TrafficTarget } from './traffic-target.ts';

/** The fields of a TrafficTarget as `version` has them; undefined when a part of it did not decode. */
export function encodeTrafficTarget(target: TrafficTarget, version: string): JsonObject | undefined {
  const { destination, rules, sources } = target;
  if (sources.some(({ broken }) => broken)) return undefined;
  // An empty list would be read as "all".
  if (rules.some(({ broken, matches }) => broken || matches?.length === 0)) return undefined;
  const fields = {
    destination: { ...toSubject(destination), ...(destination.port !== undefined && { port: destination.port }) },
    [version === 'v1alpha1' ? 'specs' : 'rules']: rules.map(({ kind, name, matches }) => ({
      kind,
      name,
      ...(matches && { matches: [...matches] }),
    })),
    sources: sources.map(toSubject),
  };
  return version === 'v1alpha1' ? fields : { spec: fields };
}

function toSubject({ kind, name, namespace }: IdentitySubject): JsonObject {
  return { kind, name, namespace };
}
