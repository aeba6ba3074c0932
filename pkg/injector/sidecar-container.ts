import { toDrainBootstrap } from '../envoy-config/drain-bootstrap.ts';
import { podDirectory, podPorts, proxyUid, toPodBootstrap } from '../envoy-config/pod-bootstrap.ts';
import type { ProbeListener } from '../envoy-config/probe-listener.ts';
import { sidecarName } from './decide-injection.ts';
import type { InjectionSettings, InterceptionLists } from './injection-settings.ts';
import { InjectionRefused, ownKeys } from './keys.ts';
import type { Keyed } from './keys.ts';
import { toWorkloadName } from './pod.ts';
import type { Container, Lifecycle, Pod } from './pod.ts';
import { initDefaults, toConcurrency, toSidecarResources } from './sidecar-resources.ts';

export const initName = 'tulle-init';
export const volumeName = 'tulle';

/** Audience of the token that proves the pod to the control plane, of no use elsewhere (DECISIONS I4). */
export const tokenAudience = 'tulle';
const tokenSeconds = 3600;

/** The ConfigMap of each meshed namespace that holds what the control plane is trusted by. */
export const trustConfigMap = 'tulle-trust';

const logLevels = ['trace', 'debug', 'info', 'warning', 'warn', 'error', 'critical', 'off'];

export interface SidecarOptions {
  readonly pod: Pod;
  readonly namespace: string;
  readonly settings: InjectionSettings;
  readonly native: boolean;
  readonly metrics: boolean;
  readonly probes: readonly ProbeListener[];
}

/** Envoy as a container that passes Pod Security "restricted" (DECISIONS K5). */
export function toSidecarContainer({ pod, namespace, settings, native, metrics, probes }: SidecarOptions): Container {
  const annotations = pod.metadata?.annotations;
  const account = `${namespace}/${pod.spec?.serviceAccountName || 'default'}`;
  const resources = toSidecarResources(annotations, settings);
  const bootstrap = toPodBootstrap({
    nodeCluster: account,
    controlPlane: {
      namespace: settings.controlNamespace,
      service: settings.service,
      xdsPort: settings.xdsPort,
      otlpPort: settings.otlpPort,
      ...(knowsNoClusterNames(pod) && settings.serviceIp !== undefined ? { ip: settings.serviceIp } : {}),
    },
    ipv6: settings.ipv6 === true,
    metrics,
    probes,
  });
  return {
    name: sidecarName,
    image: toImage(annotations, settings),
    ...toPullPolicy(settings),
    command: ['envoy'],
    args: [
      ...['--config-yaml', escapeVariables(JSON.stringify(bootstrap))],
      ...['--service-node', '$(POD_NAMESPACE)/$(POD_NAME)'],
      ...['--log-level', toLogLevel(annotations, settings)],
      ...['--concurrency', String(toConcurrency(resources, settings.concurrency))],
      // A TCP connection whose grant is gone is closed after this; requests end at once (DECISIONS E3).
      ...['--drain-time-s', '30', '--drain-strategy', 'immediate'],
      ...['--disable-hot-restart', '--file-flush-interval-msec', '500'],
    ],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'TULLE_SOURCE', value: account },
      { name: 'OTEL_RESOURCE_ATTRIBUTES', value: toResourceAttributes(pod, namespace) },
    ],
    resources,
    ...(native ? { restartPolicy: 'Always' } : {}),
    lifecycle: toLifecycle(settings, native),
    securityContext: {
      runAsUser: proxyUid,
      runAsGroup: proxyUid,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      privileged: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [{ name: volumeName, mountPath: podDirectory, readOnly: true }],
  };
}

export interface InitOptions {
  readonly settings: InjectionSettings;
  readonly native: boolean;
  readonly interception: Required<InterceptionLists>;
  /** Ports of the sidecar that everybody may reach as they are. */
  readonly openPorts: readonly number[];
}

/** Writes the packet rules and, beside a native sidecar, waits until that is ready: later containers start in the mesh. */
export function toInitContainer({ settings, native, interception, openPorts }: InitOptions): Container {
  const lists: Readonly<Record<string, readonly (string | number)[]>> = {
    TULLE_OPEN_PORTS: openPorts,
    TULLE_INBOUND_PORT_EXCLUSIONS: interception.inboundPortExclusions,
    TULLE_OUTBOUND_PORT_EXCLUSIONS: interception.outboundPortExclusions,
    TULLE_OUTBOUND_CIDR_EXCLUSIONS: interception.outboundCidrExclusions,
    TULLE_OUTBOUND_CIDR_INCLUSIONS: interception.outboundCidrInclusions,
    TULLE_INTERFACE_EXCLUSIONS: interception.interfaceExclusions,
  };
  const privileged = settings.privilegedInit === true;
  return {
    name: initName,
    image: settings.initImage,
    ...toPullPolicy(settings),
    command: ['/bin/sh', '/usr/local/bin/tulle-init.sh'],
    env: [
      ...Object.entries(lists).flatMap(([name, list]) => (list.length > 0 ? [{ name, value: list.join(',') }] : [])),
      { name: 'TULLE_IPV6', value: settings.ipv6 === true ? 'redirect' : 'refuse' },
      ...(settings.localProxyMode === 'PodIP'
        ? [{ name: 'TULLE_POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
        : []),
      { name: 'TULLE_READY_TIMEOUT', value: native ? String(settings.readyTimeout ?? 120) : '0' },
      { name: 'TULLE_CONTROLLER', value: `${settings.service}.${settings.controlNamespace}.svc:${settings.xdsPort}` },
    ],
    resources: settings.initResources ?? initDefaults,
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: privileged,
      privileged,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}

/** The sidecar's token and what it trusts; no key and no Secret. */
export function toVolume(): { readonly name: string; readonly [field: string]: unknown } {
  const items = ['roots.pem', 'sds-token.json', 'sds-roots.json'].map((key) => ({ key, path: key }));
  return {
    name: volumeName,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { audience: tokenAudience, expirationSeconds: tokenSeconds, path: 'token' } },
        { configMap: { name: trustConfigMap, items } },
      ],
    },
  };
}

export function knowsNoClusterNames({ spec }: Pod): boolean {
  return spec?.dnsPolicy === 'Default' || spec?.dnsPolicy === 'None';
}

function toImage(annotations: Keyed, settings: InjectionSettings): string {
  const image = annotations?.[ownKeys.image];
  if (image === undefined) return settings.envoyImage;
  if (!/^[\w][\w.\-/:@]{0,500}$/.test(image)) {
    throw new InjectionRefused(`annotation ${ownKeys.image} of the pod is "${image}": write the name of an image`);
  }
  return image;
}

function toLogLevel(annotations: Keyed, settings: InjectionSettings): string {
  const own = annotations?.[ownKeys.logLevel];
  if (own !== undefined && !logLevels.includes(own)) {
    throw new InjectionRefused(`annotation ${ownKeys.logLevel} of the pod is "${own}": write ${logLevels.join(', ')}`);
  }
  return own ?? settings.logLevel ?? 'warning';
}

function toPullPolicy({ imagePullPolicy }: InjectionSettings): { readonly imagePullPolicy?: string } {
  return imagePullPolicy === undefined ? {} : { imagePullPolicy };
}

/** Kubernetes puts in the values of variables; what only looks like one is doubled. */
function escapeVariables(text: string): string {
  return text.replaceAll('$', '$$$$');
}

function toResourceAttributes(pod: Pod, namespace: string): string {
  const attributes = {
    // The name of an owner may be anything: a comma would begin another attribute, a dollar a variable.
    'service.name': toWorkloadName(pod).replaceAll(/[^A-Za-z0-9._-]/g, '-'),
    'service.namespace': namespace,
    'k8s.namespace.name': namespace,
    'k8s.pod.name': '$(POD_NAME)',
  };
  return Object.entries(attributes)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/**
 * Beside a native sidecar the hook only drains: the kubelet runs it when the pod is told to end, and ends the sidecar
 * after the app (DECISIONS E9). An ordinary one is told to end with the app, and outlives it by the length of its hook.
 */
function toLifecycle(settings: InjectionSettings, native: boolean): Lifecycle {
  const config = JSON.stringify(toDrainBootstrap(native ? 0.05 : ordinaryHoldSeconds));
  const options = ['--disable-hot-restart', '--concurrency', '1', '--log-level', 'error'];
  return {
    preStop: { exec: { command: ['envoy', '--config-yaml', config, ...options] } },
    ...(native ? {} : toStartHook(settings)),
  };
}

const ordinaryHoldSeconds = 10;

/** A container is started when the postStart hook of the one before it has ended; only bash can wait in Envoy's image. */
function toStartHook({ envoyImageHasShell, readyTimeout = 120 }: InjectionSettings): Lifecycle {
  if (envoyImageHasShell !== true) return {};
  const ask = `exec 3<>/dev/tcp/127.0.0.1/${podPorts.ready} && printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]`;
  const wait = `for i in {1..${readyTimeout * 10}}; do (${ask}) 2>/dev/null && exit 0; sleep 0.1; done; exit 1`;
  return { postStart: { exec: { command: ['bash', '-c', wait] } } };
}
