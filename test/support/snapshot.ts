import type {
  EndpointSlice,
  MeshSnapshot,
  Namespace,
  Pod,
  RawObject,
  Service,
  ServicePort,
} from '../../pkg/catalog/snapshot.ts';
import { scenarioConfig } from './scenario.ts';

/** A snapshot of the parts given; the rest is empty. */
export function snapshotOf(parts: Partial<MeshSnapshot>): MeshSnapshot {
  return {
    config: scenarioConfig,
    namespaces: [],
    services: [],
    pods: [],
    endpointSlices: [],
    smi: [],
    ...parts,
  };
}

/** A meshed, ready pod that runs as the account of its name and is labelled `app: <name>`. */
export function pod(namespace: string, name: string, more: Partial<Pod> = {}): Pod {
  return {
    namespace,
    name,
    serviceAccount: name,
    labels: { app: name },
    ip: '10.0.0.1',
    ready: true,
    meshed: true,
    ports: [{ name: '', port: 8080 }],
    ...more,
  };
}

/** A Service on port 80 that leads to port 8080 of the pods labelled `app: <name>`. */
export function service(namespace: string, name: string, more: Partial<Service> = {}): Service {
  return {
    namespace,
    name,
    clusterIPs: [],
    headless: false,
    selector: { app: name },
    ports: [port(80, 8080)],
    publishNotReadyAddresses: false,
    ...more,
  };
}

export function port(number: number, targetPort: number | string, more: Partial<ServicePort> = {}): ServicePort {
  return {
    name: `http-${number}`,
    port: number,
    targetPort,
    protocol: 'TCP',
    ...more,
  };
}

export function namespace(name: string, more: Partial<Namespace> = {}): Namespace {
  return { name, meshed: true, ...more };
}

export function slice(
  of: Pick<Service, 'namespace' | 'name'>,
  endpoints: EndpointSlice['endpoints'],
  ports: EndpointSlice['ports'] = [{ name: 'http-80', port: 8080 }],
): EndpointSlice {
  return {
    namespace: of.namespace,
    name: `${of.name}-x`,
    service: of.name,
    ports,
    endpoints,
  };
}

/** `namespace/account`, or the account alone. */
function subject(text: string): object {
  const [first = '', second] = text.split('/');
  return second === undefined
    ? { kind: 'ServiceAccount', name: first }
    : { kind: 'ServiceAccount', name: second, namespace: first };
}

export function target(
  namespace: string,
  name: string,
  spec: {
    to: string;
    from: readonly string[];
    rules: readonly object[];
    annotations?: Record<string, string>;
  },
): RawObject {
  return {
    apiVersion: 'access.smi-spec.io/v1alpha4',
    kind: 'TrafficTarget',
    metadata: {
      namespace,
      name,
      ...(spec.annotations && { annotations: spec.annotations }),
    },
    spec: {
      destination: subject(spec.to),
      sources: spec.from.map(subject),
      rules: spec.rules,
    },
  };
}

export function routeGroup(namespace: string, name: string, matches: readonly object[]): RawObject {
  return {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'HTTPRouteGroup',
    metadata: { namespace, name },
    spec: { matches },
  };
}

export function tcpRoute(namespace: string, name: string, ports: readonly number[] = []): RawObject {
  return {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'TCPRoute',
    metadata: { namespace, name },
    spec: { matches: { ports } },
  };
}

/** `weights`: by backend. */
export function split(
  namespace: string,
  name: string,
  root: string,
  weights: Readonly<Record<string, number>>,
  matches?: readonly string[],
): RawObject {
  return {
    apiVersion: 'split.smi-spec.io/v1alpha4',
    kind: 'TrafficSplit',
    metadata: { namespace, name },
    spec: {
      service: root,
      backends: Object.entries(weights).map(([backend, weight]) => ({
        service: backend,
        weight,
      })),
      ...(matches && {
        matches: matches.map((group) => ({
          kind: 'HTTPRouteGroup',
          name: group,
        })),
      }),
    },
  };
}
