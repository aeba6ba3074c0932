import type { EndpointSlice } from '../../catalog/snapshot.ts';
import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../../policy/identity.ts';
import { decodeEndpointSlice } from '../../provider/objects/endpoint-slice.ts';
import type { Kept, ReflectorOptions } from '../../provider/kubernetes/reflected.ts';
import { runReflector } from '../../provider/kubernetes/reflector.ts';
import { toRawObject } from '../../provider/kubernetes/resources.ts';
import { createReader } from '../../smi/reader.ts';
import { runKeeper } from './keeper.ts';
import type { OwnToken } from './own-token.ts';

/** Another pod of the control plane that is ready. */
export interface Replica {
  /** Of the pod. */
  readonly name: string;
  readonly address: string;
  /** Where it takes spans. */
  readonly port: number;
}

export interface ReplicasOptions extends Pick<
  ReflectorOptions<never>,
  'cluster' | 'signal' | 'clock' | 'random' | 'log' | 'timing'
> {
  readonly namespace: string;
  /** The Service of the control plane. */
  readonly service: string;
  readonly trustDomain: string;
  readonly readToken: () => Promise<OwnToken>;
}

/** All that are the control plane together with this one. */
export interface Replicas {
  /** Those that are ready, without this one. */
  others(): readonly Replica[];
  /** Shows them who is speaking. */
  token(): string | undefined;
  /** Whether it is the account that the control plane itself runs as. */
  includes(identity: ServiceIdentity): boolean;
  /** The token was refused: reads it again. */
  renew(): void;
}

/** The kubelet renews the token at four fifths of its hour. */
const readAgain = 60_000;
/** Name of the Service's port. */
const portName = 'otlp';

/** Follows the endpoints of the control plane's own Service, and keeps the token of this replica at hand. */
export function runReplicas(options: ReplicasOptions): Replicas {
  const { namespace, service, trustDomain, readToken, log, ...following } = options;
  let own: OwnToken | undefined;
  let others: readonly Replica[] = [];
  let identity: ServiceIdentity | undefined;

  const reflector = runReflector<EndpointSlice>({
    ...following,
    log,
    resource: {
      name: 'endpointslices of the control plane',
      kind: 'EndpointSlice',
      locate: () =>
        Promise.resolve({
          path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
        }),
      query: { labelSelector: `kubernetes.io/service-name=${service}` },
      trim(raw, at) {
        const object = toRawObject(raw, at);
        const { name } = object.metadata;
        return decodeEndpointSlice(object, createReader({ ...at, namespace, name }));
      },
    },
    onChange: () => look(),
  });

  function look(): void {
    if (own !== undefined) others = toReplicas(reflector.items.values(), own.pod);
  }

  const keeper = runKeeper({
    async work() {
      own = await readToken();
      const { serviceAccount } = own;
      identity = toServiceIdentity(trustDomain as TrustDomain, serviceAccount);
      look();
    },
    every: readAgain,
    signal: options.signal,
    onError: (error) =>
      log.warn('the token for other replicas could not be read: spans stay where they came', { error }),
  });

  return {
    others: () => others,
    token: () => own?.token,
    includes: (other) => other === identity,
    renew: () => keeper.ring(),
  };
}

/** One address for each pod, however many slices name it: a Service of two families has one for each. */
export function toReplicas(slices: Iterable<Pick<Kept<EndpointSlice>, 'value'>>, self: string): readonly Replica[] {
  const found = new Map<string, Replica>();
  for (const { value } of slices) {
    const port = value.ports.find(({ name }) => name === portName)?.port;
    if (port === undefined) continue;
    for (const { pod, ready, addresses } of value.endpoints) {
      const [address] = addresses;
      if (pod === undefined || pod === self || !ready || address === undefined || found.has(pod)) continue;
      found.set(pod, { name: pod, address, port });
    }
  }
  return [...found.values()];
}
