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

/** Writes the packet rules and ends. Who writes a pod has no say in its image: it runs as root, with capabilities. */
export function toInitContainer(settings: InjectionSettings, rules: readonly Variable[]): Container {
  const privileged = settings.privilegedInit === true;
  return {
    name: initName,
    image: settings.sidecarImage,
    ...toPullPolicy(settings),
    command: [`${scripts}/tulle-rules.sh`],
    env: rules,
    resources: settings.initResources ?? initDefaults,
    // The least that iptables asks for.
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
