import type { RawObject } from '../../catalog/snapshot.ts';
import { isJsonObject } from '../../smi/reader.ts';

/**
 * Gives an SMI object the version that it was written in. With conversion `None` (DECISIONS K4) the API server shows
 * every object in the version that it is asked for, and changes nothing but `apiVersion`: what Flagger wrote as split
 * v1alpha1 is read as v1alpha4. The fields themselves tell, since each version that means something else has other
 * ones; where they don't, the versions mean the same, and the newest is as good as any.
 */
export function withWrittenVersion(raw: RawObject): RawObject {
  const [group = '', read = ''] = raw.apiVersion.split('/');
  const written = versionOf(raw);
  return written === undefined || written === read ? raw : { ...raw, apiVersion: `${group}/${written}` };
}

function versionOf(raw: RawObject): string | undefined {
  const spec = isJsonObject(raw['spec']) ? raw['spec'] : undefined;
  const isEmpty = spec === undefined || Object.keys(spec).length === 0;
  switch (raw.kind) {
    case 'TrafficTarget':
      // The fields stand at the top level in v1alpha1 alone; the destination has a port up to v1alpha2.
      if (isEmpty && ['destination', 'specs', 'sources'].some((field) => field in raw)) return 'v1alpha1';
      return isJsonObject(spec?.['destination']) && 'port' in spec['destination'] ? 'v1alpha2' : undefined;
    case 'HTTPRouteGroup':
      return isEmpty && 'matches' in raw ? 'v1alpha2' : undefined;
    case 'TrafficSplit':
      return Array.isArray(spec?.['backends']) && spec['backends'].some(hasQuantity) ? 'v1alpha1' : undefined;
    default:
      return undefined;
  }
}

/** `"20"`, `500m`: later versions have numbers. */
function hasQuantity(backend: unknown): boolean {
  return isJsonObject(backend) && typeof backend['weight'] === 'string';
}
