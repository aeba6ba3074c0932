import { behindGate, toGateVolume } from '../injector/start-gate.ts';

/** What `tulle check` creates to try a mesh with. */
export interface TrialOptions {
  readonly namespace: string;
  readonly meshName: string;
  readonly image: string;
  readonly pullPolicy: string;
  /** RFC 3339: from then on it is a leftover, which any later run removes. */
  readonly until: string;
  /** How long a client asks for the answer that it should get. */
  readonly askSeconds: number;
  readonly traces: { readonly allowed: string; readonly denied: string };
  /** Pods start fast: a pod is made whose gate nobody opens. */
  readonly gate: boolean;
}

/** Of the namespace. */
export const trialPrefix = 'tulle-check-';
export const trialLabel = 'tulle.dev/check';
export const trialUntil = 'tulle.dev/check-until';
export const trialPort = 8080;

export function toTrialNamespace({ namespace, meshName, until }: TrialOptions): object {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespace,
      labels: {
        [trialLabel]: 'true',
        'openservicemesh.io/monitored-by': meshName,
        // Redirecting traffic takes NET_ADMIN, wherever the cluster's default stands.
        'pod-security.kubernetes.io/enforce': 'privileged',
      },
      annotations: {
        [trialUntil]: until,
        'openservicemesh.io/sidecar-injection': 'enabled',
        'tulle.dev/mode': 'enforce',
      },
    },
  };
}

export interface TrialObject {
  /** Of the collection. */
  readonly path: string;
  readonly body: object;
}

/** In the order in which they are created: what is allowed is known before anybody asks. */
export function toTrialObjects(options: TrialOptions): readonly TrialObject[] {
  const { namespace } = options;
  const core = `/api/v1/namespaces/${namespace}`;
  const account = (name: string): TrialObject => ({
    path: `${core}/serviceaccounts`,
    body: {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace },
      automountServiceAccountToken: false,
    },
  });
  const url = `http://server.${namespace}:${trialPort}/trial`;
  const call = (status: number, traceId: string): readonly string[] => [
    'call',
    url,
    String(status),
    String(options.askSeconds),
    `00-${traceId}-00f067aa0ba902b7-01`,
  ];
  return [
    account('server'),
    account('allowed'),
    account('denied'),
    {
      path: `${core}/services`,
      body: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'server', namespace },
        spec: { selector: { app: 'server' }, ports: [{ name: 'http', port: trialPort, appProtocol: 'http' }] },
      },
    },
    {
      path: `/apis/specs.smi-spec.io/v1alpha4/namespaces/${namespace}/httproutegroups`,
      body: {
        apiVersion: 'specs.smi-spec.io/v1alpha4',
        kind: 'HTTPRouteGroup',
        metadata: { name: 'trial', namespace },
        spec: { matches: [{ name: 'trial', pathRegex: '/trial', methods: ['GET'] }] },
      },
    },
    {
      path: `/apis/access.smi-spec.io/v1alpha3/namespaces/${namespace}/traffictargets`,
      body: {
        apiVersion: 'access.smi-spec.io/v1alpha3',
        kind: 'TrafficTarget',
        metadata: { name: 'trial', namespace },
        spec: {
          destination: { kind: 'ServiceAccount', name: 'server', namespace },
          rules: [{ kind: 'HTTPRouteGroup', name: 'trial', matches: ['trial'] }],
          sources: [{ kind: 'ServiceAccount', name: 'allowed', namespace }],
        },
      },
    },
    toPod(options, 'server', ['serve', String(trialPort)], true),
    toPod(options, 'allowed', call(200, options.traces.allowed), false),
    toPod(options, 'denied', call(403, options.traces.denied), false),
    ...(options.gate ? [toGatedPod(options)] : []),
  ];
}

/** Without a sidecar: its app must not be started. */
function toGatedPod(options: TrialOptions): TrialObject {
  const { path, body } = toPod(options, 'gate', ['serve', String(trialPort)], false);
  const { metadata, spec } = body;
  return {
    path,
    body: {
      ...body,
      metadata: { ...metadata, annotations: { 'openservicemesh.io/sidecar-injection': 'disabled' } },
      spec: {
        ...spec,
        serviceAccountName: 'server',
        containers: spec.containers.map(behindGate),
        volumes: [toGateVolume()],
      },
    },
  };
}

function toPod(
  { namespace, image, pullPolicy }: TrialOptions,
  name: string,
  args: readonly string[],
  isServer: boolean,
) {
  return {
    path: `/api/v1/namespaces/${namespace}/pods`,
    body: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace,
        labels: { app: name },
        // It ends when it is told to: nobody depends on it.
        annotations: { 'tulle.dev/pre-stop-sleep': '0' },
      },
      spec: {
        serviceAccountName: name,
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name,
            image,
            imagePullPolicy: pullPolicy,
            command: ['node', '/app/check-server.js', ...args],
            resources: { requests: { cpu: '10m', memory: '48Mi' } },
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            ...(isServer && {
              ports: [{ name: 'http', containerPort: trialPort }],
              readinessProbe: { httpGet: { path: '/', port: trialPort }, periodSeconds: 1 },
            }),
          },
        ],
      },
    },
  };
}
