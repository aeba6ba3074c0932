import type { EndpointSlice, Namespace, Pod, RawObject, Service } from '../../catalog/snapshot.ts';
import type { Outcome } from '../../problem/problem.ts';
import { createReader, type ObjectReader } from '../../smi/reader.ts';
import { decodeEndpointSlice, decodeEndpoints } from '../objects/endpoint-slice.ts';
import { decodeNamespace } from '../objects/namespace.ts';
import { decodePod } from '../objects/pod.ts';
import { decodeService } from '../objects/service.ts';
import { textMap } from '../objects/text-map.ts';
import { decodeWorkload } from './decode-workload.ts';
import type { ConfigMap, Workload, WorkloadKind } from './workload.ts';

type Decode<T> = (raw: RawObject) => Outcome<T>;

/** The decoders of Kubernetes objects: the same raw object gives the same result, so that references stay. */
export interface Decoders {
  readonly namespace: Decode<Namespace>;
  readonly service: Decode<Service>;
  readonly workload: Decode<Workload | undefined>;
  readonly configMap: Decode<ConfigMap>;
  readonly endpoints: Decode<readonly EndpointSlice[]>;
  readonly pod: (raw: RawObject, namespaceIsMeshed: boolean) => Pod;
  readonly undeclaredNamespace: (name: string) => Namespace;
}

export function createDecoders(): Decoders {
  const undeclared = new Map<string, Namespace>();
  const meshedPods = remembered((raw) => decodePod(raw, true));
  const plainPods = remembered((raw) => decodePod(raw, false));
  return {
    namespace: remembered(decodeNamespace),
    service: remembered(decodeService),
    workload: remembered((raw, reader) => decodeWorkload(raw.kind as WorkloadKind, raw, reader)),
    configMap: remembered(decodeConfigMap),
    endpoints: remembered((raw, reader) => {
      if (raw.kind === 'Endpoints') return decodeEndpoints(raw, reader);
      const slice = decodeEndpointSlice(raw, reader);
      return slice ? [slice] : [];
    }),
    pod: (raw, namespaceIsMeshed) => (namespaceIsMeshed ? meshedPods : plainPods)(raw).value,
    undeclaredNamespace(name) {
      const namespace = undeclared.get(name) ?? { name, meshed: true };
      undeclared.set(name, namespace);
      return namespace;
    },
  };
}

function remembered<T>(decode: (raw: RawObject, reader: ObjectReader) => T): Decode<T> {
  const known = new WeakMap<RawObject, Outcome<T>>();
  return (raw) => {
    let outcome = known.get(raw);
    if (outcome === undefined) {
      const { apiVersion, kind, metadata } = raw;
      const reader = createReader({ apiVersion, kind, namespace: metadata.namespace, name: metadata.name });
      outcome = { value: decode(raw, reader), problems: reader.problems };
      known.set(raw, outcome);
    }
    return outcome;
  };
}

function decodeConfigMap({ metadata, data }: RawObject): ConfigMap {
  return { namespace: metadata.namespace, name: metadata.name, data: textMap(data) };
}
