import type { KubernetesApi, KubernetesObject } from '../support/kubernetes-api.ts';
import { isReady, podsOf, until } from '../support/kubernetes-objects.ts';
import type { Call, CallResult } from './apps/calls.ts';
import type { LoadOrder, Tally } from './apps/load.ts';
import { peerImage } from './images.ts';

/** Where peers take orders: left out of the interception, so that a test reaches it whatever the policy says. */
export const controlPort = 8099;

export interface PeerOptions {
  readonly namespace: string;
  readonly name: string;
  /** ServiceAccount: made here; the peer's name unless told. */
  readonly account?: string;
  /** `http:8080`, `grpc:9090`, … */
  readonly listen?: readonly string[];
  readonly replicas?: number;
  readonly kind?: 'Deployment' | 'StatefulSet';
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly load?: LoadOrder;
  readonly env?: Readonly<Record<string, string>>;
  /** More of the pod's spec, and of its container. */
  readonly pod?: object;
  readonly container?: object;
  readonly ports?: readonly object[];
}

export function peerPod(options: PeerOptions): { metadata: object; spec: object } {
  const { name, account = name, listen = [], labels = {}, annotations = {}, load, env = {} } = options;
  const variables = { LISTEN: listen.join(','), CONTROL: String(controlPort), ...env };
  return {
    metadata: {
      labels: { app: name, ...labels },
      annotations: { 'tulle.dev/inbound-port-exclusion-list': String(controlPort), ...annotations },
    },
    spec: {
      serviceAccountName: account,
      terminationGracePeriodSeconds: 20,
      containers: [
        {
          name: 'peer',
          image: peerImage,
          imagePullPolicy: 'IfNotPresent',
          ports: options.ports ?? [],
          env: [
            ...Object.entries(variables).map(([name, value]) => ({ name, value })),
            ...(load ? [{ name: 'LOAD', value: JSON.stringify(load) }] : []),
          ],
          readinessProbe: { httpGet: { path: '/', port: controlPort }, periodSeconds: 1 },
          resources: { requests: { cpu: '10m', memory: '32Mi' } },
          ...options.container,
        },
      ],
      ...options.pod,
    },
  };
}

export function accountObject(namespace: string, name: string): KubernetesObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } };
}

export function peerObjects(options: PeerOptions): KubernetesObject[] {
  const { namespace, name, account = name, kind = 'Deployment', replicas = 1, labels = {} } = options;
  return [
    accountObject(namespace, account),
    {
      apiVersion: 'apps/v1',
      kind,
      metadata: { name, namespace },
      spec: {
        replicas,
        selector: { matchLabels: { app: name, ...labels } },
        template: peerPod(options),
        ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
      },
    },
  ];
}

export interface PortOptions {
  readonly port: number;
  readonly name?: string;
  readonly targetPort?: number | string;
  readonly appProtocol?: string;
}

export function serviceObject(
  namespace: string,
  name: string,
  ports: readonly PortOptions[],
  more: object = {},
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { selector: { app: name }, ports, ...more },
  };
}

/** A meshed namespace, enforced unless told otherwise. */
export function namespaceObject(
  name: string,
  { mesh = 'osm', mode }: { mesh?: string | undefined; mode?: 'permissive' | 'shadow' | 'enforce' } = {},
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: { 'tulle-e2e': 'yes', ...(mesh === '' ? {} : { 'openservicemesh.io/monitored-by': mesh }) },
      annotations: mode === undefined ? {} : { 'tulle.dev/mode': mode },
    },
  };
}

/** HTTPRouteGroup of one match and the TrafficTarget that grants it; without a match the target grants all HTTP. */
export function targetObjects(
  namespace: string,
  name: string,
  to: string,
  from: readonly string[],
  match?: { pathRegex?: string; methods?: string[]; headers?: Record<string, string>[] },
): KubernetesObject[] {
  const group: KubernetesObject = {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'HTTPRouteGroup',
    metadata: { name, namespace },
    spec: { matches: [{ name: 'some', ...(match ?? { pathRegex: '.*', methods: ['*'] }) }] },
  };
  return [group, trafficTarget(namespace, name, to, from, [{ kind: 'HTTPRouteGroup', name, matches: ['some'] }])];
}

export function tcpTargetObjects(
  namespace: string,
  name: string,
  to: string,
  from: readonly string[],
  ports: readonly number[],
): KubernetesObject[] {
  const route: KubernetesObject = {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'TCPRoute',
    metadata: { name, namespace },
    spec: { matches: { ports } },
  };
  return [route, trafficTarget(namespace, name, to, from, [{ kind: 'TCPRoute', name }])];
}

/** `from`: `account` of the same namespace, or `namespace/account`. */
export function trafficTarget(
  namespace: string,
  name: string,
  to: string,
  from: readonly string[],
  rules: readonly object[],
): KubernetesObject {
  const sources = from.map((source) => {
    const [first = '', second] = source.split('/');
    return second === undefined
      ? { kind: 'ServiceAccount', name: first, namespace }
      : { kind: 'ServiceAccount', name: second, namespace: first };
  });
  return {
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { name, namespace },
    spec: { destination: { kind: 'ServiceAccount', name: to, namespace }, sources, rules },
  };
}

/** The peer of that name: its one Ready pod. */
export async function peerPodName(api: KubernetesApi, namespace: string, app: string, seconds = 60): Promise<string> {
  return until(`a Ready pod ${namespace}/${app}`, seconds, async () => {
    const pods = await podsOf(api, namespace, `app=${app}`);
    return pods.find(isReady)?.metadata.name;
  });
}

/** Gives a peer an order through the API server's proxy to its control port. */
export async function orderPeer<T>(
  api: KubernetesApi,
  namespace: string,
  pod: string,
  path: string,
  body: unknown = {},
): Promise<T> {
  const where = `/api/v1/namespaces/${namespace}/pods/${pod}:${controlPort}/proxy${path}`;
  const answer = await api.send('POST', where, body);
  if (answer.status !== 200) throw new Error(`peer ${namespace}/${pod} ${path}: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body) as T;
}

/** A client peer, for tests. */
export interface Peer {
  readonly pod: string;
  call(what: Call | string): Promise<CallResult>;
  calls(what: readonly Call[]): Promise<CallResult[]>;
  /** Calls until `accept` holds. */
  callUntil(what: Call | string, accept: (result: CallResult) => boolean, seconds?: number): Promise<CallResult>;
  startLoad(order: LoadOrder): Promise<void>;
  tally(id?: string, since?: number): Promise<Tally>;
  stopLoad(id?: string): Promise<Tally>;
  order<T>(path: string, body?: unknown): Promise<T>;
}

export async function openPeer(api: KubernetesApi, namespace: string, app: string): Promise<Peer> {
  const pod = await peerPodName(api, namespace, app);
  return peerAt(api, namespace, pod);
}

export function peerAt(api: KubernetesApi, namespace: string, pod: string): Peer {
  const order = <T>(path: string, body?: unknown): Promise<T> => orderPeer<T>(api, namespace, pod, path, body);
  const toCall = (what: Call | string): Call => (typeof what === 'string' ? { url: what } : what);
  const peer: Peer = {
    pod,
    order,
    call: (what) => order('/call', toCall(what)),
    calls: (what) => order('/calls', what),
    callUntil: async (what, accept, seconds = 15) => {
      let last: CallResult | undefined;
      try {
        return await until(`answer to ${toCall(what).url}`, seconds, async () => {
          last = await peer.call(what);
          return accept(last) ? last : undefined;
        });
      } catch (error) {
        throw new Error(`${(error as Error).message}; last: ${describeResult(last)}`);
      }
    },
    startLoad: async (what) => {
      await order('/load', what);
    },
    tally: (id = 'load', since) => order('/tally', { id, since }),
    stopLoad: (id = 'load') => order('/stop', { id }),
  };
  return peer;
}

export function describeResult(result: CallResult | undefined): string {
  if (result === undefined) return 'none';
  const { status, grpcStatus, error, body, ms } = result;
  return `${status}${grpcStatus === undefined ? '' : ` grpc ${grpcStatus}`}${error ? ` ${error}` : ''} ${body.slice(0, 200)} (${ms} ms)`;
}

export function describeTally({ sent, ok, failed, by, failures, p50, p99 }: Tally): string {
  return `${sent} sent, ${ok} ok, ${failed} failed ${JSON.stringify(by)} p50 ${p50} p99 ${p99} ms\n${failures.join('\n')}`;
}
