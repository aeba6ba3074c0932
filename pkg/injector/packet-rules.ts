import { proxyUid } from '../envoy-config/pod-bootstrap.ts';
import type { InjectionSettings, InterceptionLists } from './injection-settings.ts';
import { toPullPolicy } from './pull-policy.ts';
import type { Container } from './pod.ts';
import { initDefaults } from './sidecar-resources.ts';

export const initName = 'tulle-init';

/** Folder of the sidecar image that has what `cmd/pod-sidecar/Dockerfile` copies. */
export const scripts = '/usr/local/bin';

type Variable = { readonly name: string; readonly [field: string]: unknown };

/** What the rules of one pod depend on, as `tulle-rules.sh` reads it. */
export function toRuleVariables(
  settings: InjectionSettings,
  interception: Required<InterceptionLists>,
  /** Ports of the sidecar that everybody may reach as they are. */
  openPorts: readonly number[],
): readonly Variable[] {
  const lists: Readonly<Record<string, readonly (string | number)[]>> = {
    TULLE_OPEN_PORTS: openPorts,
    TULLE_INBOUND_PORT_EXCLUSIONS: interception.inboundPortExclusions,
    TULLE_OUTBOUND_PORT_EXCLUSIONS: interception.outboundPortExclusions,
    TULLE_OUTBOUND_CIDR_EXCLUSIONS: interception.outboundCidrExclusions,
    TULLE_OUTBOUND_CIDR_INCLUSIONS: interception.outboundCidrInclusions,
    TULLE_INTERFACE_EXCLUSIONS: interception.interfaceExclusions,
  };
  return [
    ...Object.entries(lists).flatMap(([name, list]) => (list.length > 0 ? [{ name, value: list.join(',') }] : [])),
    { name: 'TULLE_IPV6', value: settings.ipv6 === true ? 'redirect' : 'refuse' },
    ...(settings.localProxyMode === 'PodIP'
      ? [{ name: 'TULLE_POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
      : []),
  ];
}

/**
 * Of a container that writes the rules: root, with the least that iptables asks for. The sidecar that does it itself has
 * group and, by SETUID, user of Envoy besides, which it becomes: Envoy holds no capability (record 0010).
 */
export function toRootSecurity(more: { readonly becomesEnvoy: boolean; readonly privileged: boolean }) {
  return {
    runAsUser: 0,
    runAsGroup: more.becomesEnvoy ? proxyUid : 0,
    runAsNonRoot: false,
    readOnlyRootFilesystem: true,
    allowPrivilegeEscalation: more.privileged,
    privileged: more.privileged,
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW', ...(more.becomesEnvoy ? ['SETUID'] : [])] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** Writes the packet rules and ends. Who writes a pod has no say in its image: it runs as root, with capabilities. */
export function toInitContainer(settings: InjectionSettings, rules: readonly Variable[]): Container {
  return {
    name: initName,
    image: settings.sidecarImage,
    ...toPullPolicy(settings),
    command: [`${scripts}/tulle-rules.sh`],
    env: rules,
    resources: settings.initResources ?? initDefaults,
    securityContext: toRootSecurity({ becomesEnvoy: false, privileged: settings.privilegedInit === true }),
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}
