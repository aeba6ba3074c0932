import { podDirectory, proxyUid, toPodBootstrap } from '../envoy-config/pod-bootstrap.ts';
import type { ProbeListener } from '../envoy-config/probe-listener.ts';
import { sidecarName } from './decide-injection.ts';
import type { InjectionSettings } from './injection-settings.ts';
import { InjectionRefused, ownKeys } from './keys.ts';
import type { Keyed } from './keys.ts';
import type { Layout } from './layout.ts';
import { scripts, toRootSecurity } from './packet-rules.ts';
import { refuseLongArgument } from './pod-bounds.ts';
import { toWorkloadName } from './pod.ts';
import type { Container, Lifecycle, Pod } from './pod.ts';
import { toPullPolicy } from './pull-policy.ts';
import { gateDirectory, gateVolume } from './start-gate.ts';
import { toConcurrency, toSidecarResources } from './sidecar-resources.ts';

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
  readonly layout: Layout;
  /** For `tulle-rules.sh`, which the sidecar of layout `fast` runs. */
  readonly rules: NonNullable<Container['env']>;
  readonly metrics: boolean;
  readonly probes: readonly ProbeListener[];
}

/** Envoy, as a container that passes Pod Security "restricted" unless it writes the rules (DECISIONS K5, record 0010). */
export function toSidecarContainer(options: SidecarOptions): Container {
  const { pod, namespace, settings, layout, rules, metrics, probes } = options;
  const fast = layout === 'fast';
  const annotations = pod.metadata?.annotations;
  const account = `${namespace}/${pod.spec?.serviceAccountName || 'default'}`;
  const resources = toSidecarResources(annotations, settings);
  const bootstrap = JSON.stringify(
    toPodBootstrap({
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
    }),
  );
  refuseLongArgument(bootstrap);
  return {
    name: sidecarName,
    image: toSidecarImage(annotations, settings),
    ...toPullPolicy(settings),
    command: [fast ? `${scripts}/tulle-sidecar.sh` : 'envoy'],
    args: [
      ...['--config-yaml', escapeVariables(bootstrap)],
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
      { name: 'TULLE_CONTROLLER', value: `${settings.service}.${settings.controlNamespace}.svc:${settings.xdsPort}` },
      { name: 'TULLE_READY_TIMEOUT', value: String(settings.readyTimeout ?? readyTimeout) },
      ...(fast ? [{ name: 'TULLE_GATE', value: gateDirectory }, ...rules] : []),
    ],
    resources,
    ...(layout === 'native' ? { restartPolicy: 'Always' } : {}),
    lifecycle: toLifecycle(layout, pod.spec?.terminationGracePeriodSeconds),
    securityContext: fast ? toRootSecurity({ becomesEnvoy: true, privileged: false }) : envoySecurity,
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: volumeName, mountPath: podDirectory, readOnly: true },
      ...(fast ? [{ name: gateVolume, mountPath: gateDirectory }] : []),
    ],
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

function toSidecarImage(annotations: Keyed, settings: InjectionSettings): string {
  const image = annotations?.[ownKeys.image];
  if (image === undefined) return settings.sidecarImage;
  if (!/^[\w][\w.\-/:@]{0,500}$/.test(image)) {
    throw new InjectionRefused(`annotation ${ownKeys.image} of the pod is "${image}": write the name of an image`);
  }
  return image;
}

/** Of another repository than the installation's: whether it is one of ours can't be told. */
export function isForeignImage(image: string, { sidecarImage }: InjectionSettings): boolean {
  return repositoryOf(image) !== repositoryOf(sidecarImage);
}

/** Without tag and digest; a registry may have a port. */
function repositoryOf(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^:/]*$/, '');
}

function toLogLevel(annotations: Keyed, settings: InjectionSettings): string {
  const own = annotations?.[ownKeys.logLevel];
  if (own !== undefined && !logLevels.includes(own)) {
    throw new InjectionRefused(`annotation ${ownKeys.logLevel} of the pod is "${own}": write ${logLevels.join(', ')}`);
  }
  return own ?? settings.logLevel ?? 'warning';
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
 * Later containers start when the first hook has ended, with policy and certificates. Beside a native sidecar the second
 * only drains: the kubelet runs it when the pod is told to end, and ends the sidecar after the app (DECISIONS E9). An
 * ordinary one is told to end with the app: its hook goes on while the app listens or is connected.
 */
function toLifecycle(layout: Layout, grace = 30): Lifecycle {
  const most = Math.max(0, grace - killMargin);
  const hold = layout === 'native' ? [] : [Math.min(leastHold, most), most].map(String);
  return {
    postStart: { exec: { command: [`${scripts}/tulle-wait.sh`] } },
    preStop: { exec: { command: [`${scripts}/tulle-drain.sh`, ...hold] } },
  };
}

/** Seconds, for an app that can't be seen to be there, or not any more. */
const leastHold = 10;
/** Seconds that are left to Envoy itself. */
const killMargin = 2;

/** Seconds. Until the hook has ended nobody can read the log of the container, and a pod that is deleted waits for it. */
const readyTimeout = 60;

/** Passes Pod Security "restricted". */
const envoySecurity = {
  runAsUser: proxyUid,
  runAsGroup: proxyUid,
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  privileged: false,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};
