import { podPorts, proxyUid } from '../envoy-config/pod-bootstrap.ts';
import { findMeshKey } from '../provider/objects/mesh-keys.ts';
import { isInjected, sidecarName, whyNotInjected } from './decide-injection.ts';
import type { InjectionNamespace, InjectionSettings } from './injection-settings.ts';
import { toInterception } from './interception.ts';
import { toPatch } from './json-patch.ts';
import type { PatchOperation } from './json-patch.ts';
import { decodeSwitch, InjectionRefused, ownKeys } from './keys.ts';
import type { Keyed } from './keys.ts';
import { chooseLayout, type Layout } from './layout.ts';
import { refuseTooMuch } from './pod-bounds.ts';
import { allContainers } from './pod.ts';
import type { Container, Pod, PodSpec } from './pod.ts';
import { withPreStopSleep } from './pre-stop-sleep.ts';
import { rewriteProbes } from './rewrite-probes.ts';
import { initName, scripts, toInitContainer, toRuleVariables } from './packet-rules.ts';
import { isForeignImage, knowsNoClusterNames, toSidecarContainer, toVolume, volumeName } from './sidecar-container.ts';
import { behindGate, gateVolume, toGateVolume, withGateKept } from './start-gate.ts';

export type Injection =
  /** The pod stays as it is. */
  | { readonly kind: 'skip'; readonly reason: string }
  | {
      readonly kind: 'patch';
      readonly patch: readonly PatchOperation[];
      /** The pod as the patch makes it. */
      readonly pod: Pod;
      /** For whoever creates the pod: kubectl prints them. */
      readonly warnings: readonly string[];
    }
  /** The pod must not be created: it would run outside of the mesh, or not at all. */
  | { readonly kind: 'refuse'; readonly message: string };

/** What becomes of a pod that is about to be created. Injected twice is the same as once. */
export function toInjection(pod: Pod, namespace: InjectionNamespace, settings: InjectionSettings): Injection {
  try {
    if (isInjected(pod) && pod.metadata?.annotations?.[ownKeys.fastStart] === 'enabled') {
      const kept = withGateKept(pod);
      if (kept !== pod) return { kind: 'patch', patch: toPatch(pod, kept), pod: kept, warnings: [] };
    }
    const reason = whyNotInjected(pod, namespace, settings);
    if (reason !== undefined) return { kind: 'skip', reason };
    const { injected, warnings } = inject(pod, namespace, settings);
    return { kind: 'patch', patch: toPatch(pod, injected), pod: injected, warnings };
  } catch (error) {
    if (error instanceof InjectionRefused) return { kind: 'refuse', message: error.message };
    throw error;
  }
}

function inject(
  pod: Pod,
  namespace: InjectionNamespace,
  settings: InjectionSettings,
): { readonly injected: Pod; readonly warnings: readonly string[] } {
  const spec = pod.spec ?? {};
  refuseTooMuch(pod);
  const annotations = pod.metadata?.annotations;
  const layout = chooseLayout(pod, settings);
  const native = layout === 'native';
  const metrics = wantsMetrics(namespace);
  const scraped = metrics || /^(1|t|true)$/i.test(annotations?.['prometheus.io/scrape'] ?? '');
  refuseClashes(spec, scraped);
  const interception = toInterception(annotations, settings.interception);
  const probes = rewriteProbes({
    containers: spec.containers ?? [],
    initContainers: spec.initContainers ?? [],
    open: new Set(interception.inboundPortExclusions),
    taken: new Set([
      ...declaredPorts(spec).keys(),
      ...Object.values(podPorts).filter((port) => port < podPorts.probes),
    ]),
  });
  const openPorts = [
    podPorts.ready,
    ...(scraped ? [podPorts.metrics] : []),
    ...probes.listeners.map(({ port }) => port),
  ];
  const rules = toRuleVariables(settings, interception, openPorts);
  const sidecar = toSidecarContainer({
    ...{ pod, settings, layout, rules, metrics: scraped, probes: probes.listeners },
    namespace: namespace.name,
  });
  const init = toInitContainer(settings, rules);
  const containers = withPreStopSleep(probes.containers, spec, annotations, settings);
  const placed: Pick<PodSpec, 'initContainers' | 'containers'> = {
    native: { initContainers: [init, sidecar, ...probes.initContainers], containers },
    ordinary: { initContainers: [...probes.initContainers, init], containers: [sidecar, ...containers] },
    fast: { containers: [sidecar, ...containers.map(behindGate)] },
  }[layout];
  const injected: Pod = {
    ...pod,
    metadata: {
      ...pod.metadata,
      annotations: {
        ...annotations,
        ...(metrics ? scrapeAnnotations : {}),
        ...(native ? {} : toDefaultContainer(annotations, containers)),
        ...toFastStart(annotations, layout),
        [ownKeys.injected]: settings.version,
        [ownKeys.mesh]: settings.meshName,
      },
    },
    spec: {
      ...spec,
      ...placed,
      volumes: [...(spec.volumes ?? []), toVolume(), ...(layout === 'fast' ? [toGateVolume()] : [])],
      ...toPullSecrets(spec, settings),
    },
  };
  return { injected, warnings: [...probes.warnings, ...warningsOf(pod, settings, native, metrics)] };
}

function wantsMetrics({ name, annotations }: InjectionNamespace): boolean {
  const found = findMeshKey(annotations, 'metrics');
  if (found === undefined || found.value === '') return false;
  return decodeSwitch(found, `namespace ${name}`);
}

const scrapeAnnotations = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': String(podPorts.metrics),
  'prometheus.io/path': '/stats/prometheus',
};

/** What would make a pod that doesn't work, or that isn't in the mesh though it seems to be. */
function refuseClashes(spec: PodSpec, scraped: boolean): void {
  for (const container of allContainers(spec)) {
    const { name, securityContext } = container;
    if (name === sidecarName || name === initName) {
      throw new InjectionRefused(
        `the pod has a container named "${name}", which is the name of the sidecar's: rename it, or set the annotation openservicemesh.io/sidecar-injection: disabled on the pod`,
      );
    }
    const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser;
    if (user === proxyUid) {
      throw new InjectionRefused(
        `container "${name}" runs as user ${proxyUid}, whose connections pass by the mesh since the sidecar runs as that user: set runAsUser to another one`,
      );
    }
  }
  const named = [...(spec.volumes ?? []), ...allContainers(spec).flatMap(({ volumeMounts = [] }) => volumeMounts)];
  const volume = named.find(({ name }) => name === volumeName || name === gateVolume);
  if (volume) {
    throw new InjectionRefused(
      `the pod has a volume named "${volume.name}", which is the name of the sidecar's: rename it`,
    );
  }
  const { admin, outbound, inbound, metrics, ready } = podPorts;
  const declared = declaredPorts(spec);
  for (const port of [admin, outbound, inbound, ready, ...(scraped ? [metrics] : [])]) {
    const container = declared.get(port);
    if (container !== undefined) {
      throw new InjectionRefused(
        `container "${container}" has port ${port}, which the sidecar listens on: let the app listen elsewhere`,
      );
    }
  }
}

function declaredPorts(spec: PodSpec): ReadonlyMap<number, string> {
  const ports = new Map<number, string>();
  for (const { name = '', ports: own = [] } of allContainers(spec)) {
    for (const { containerPort, protocol = 'TCP' } of own) {
      if (containerPort !== undefined && protocol === 'TCP') ports.set(containerPort, name);
    }
  }
  return ports;
}

/** Says what became of the pod, and not what was wished for. */
function toFastStart(annotations: Keyed, layout: Layout): Readonly<Record<string, string>> {
  if (layout === 'fast') return { [ownKeys.fastStart]: 'enabled' };
  return annotations?.[ownKeys.fastStart] === undefined ? {} : { [ownKeys.fastStart]: 'disabled' };
}

/** With an ordinary sidecar `kubectl logs` and `exec` would go to it, as the first. */
function toDefaultContainer(
  annotations: Readonly<Record<string, string>> | undefined,
  [first]: readonly Container[],
): Readonly<Record<string, string>> {
  const key = 'kubectl.kubernetes.io/default-container';
  return annotations?.[key] === undefined && first?.name !== undefined ? { [key]: first.name } : {};
}

function toPullSecrets(spec: PodSpec, { imagePullSecrets = [] }: InjectionSettings): Partial<PodSpec> {
  const known = spec.imagePullSecrets ?? [];
  const missing = imagePullSecrets.filter((name) => !known.some((secret) => secret.name === name));
  return missing.length > 0 ? { imagePullSecrets: [...known, ...missing.map((name) => ({ name }))] } : {};
}

function warningsOf(pod: Pod, settings: InjectionSettings, native: boolean, metrics: boolean): readonly string[] {
  const { spec, metadata } = pod;
  const warnings: string[] = [];
  const image = metadata?.annotations?.[ownKeys.image];
  if (image !== undefined && isForeignImage(image, settings)) {
    warnings.push(
      `${ownKeys.image}: the pod won't start unless the image has bash, tulle-wait.sh and tulle-drain.sh in ${scripts}, and Envoy 1.38 or newer, as cmd/pod-sidecar/Dockerfile makes it: plain Envoy has not`,
    );
  }
  if (knowsNoClusterNames(pod) && settings.serviceIp === undefined) {
    warnings.push(
      `dnsPolicy ${spec?.dnsPolicy}: the sidecar can't find the control plane by its name, and the pod won't start`,
    );
  }
  if (!native && spec?.restartPolicy !== undefined && spec.restartPolicy !== 'Always') {
    warnings.push(
      `before Kubernetes 1.29 the sidecar doesn't end with the app: let the app end with POST http://127.0.0.1:${podPorts.admin}/quitquitquit, or disable injection for this pod`,
    );
  }
  const scrapePort = metadata?.annotations?.['prometheus.io/port'];
  if (metrics && scrapePort !== undefined && scrapePort !== String(podPorts.metrics)) {
    warnings.push(
      `prometheus.io/port was ${scrapePort} and is now ${podPorts.metrics}: the namespace's metrics annotation asks for the sidecar's`,
    );
  }
  return warnings;
}
