import type { InjectionSettings, InterceptionLists } from '../../injector/injection-settings.ts';
import type { MeshConfigObject } from '../../provider/kubernetes/mesh-config-object.ts';
import type { KubernetesConfig } from '../kubernetes-config.ts';

/** What was found out about the cluster at the start. */
export interface ClusterFacts {
  readonly version: string;
  readonly kubernetesMinor?: number;
  readonly serviceIp?: string;
}

/** Injection as the chart says, with what the MeshConfig says now on top; its lists add to the chart's (as OSM has it). */
export function toInjectionSettings(
  kubernetes: KubernetesConfig,
  { version, ...facts }: ClusterFacts,
  object: Pick<MeshConfigObject, 'sidecar' | 'traffic'> | undefined,
): InjectionSettings {
  const { injection, meshName, namespace, service, xdsPort, otlpPort } = kubernetes;
  const { logLevel, enablePrivilegedInitContainer, localProxyMode, resources } = object?.sidecar ?? {};
  return {
    ...injection,
    ...facts,
    version,
    meshName,
    controlNamespace: namespace,
    service,
    xdsPort,
    otlpPort,
    ...(logLevel === undefined ? {} : { logLevel }),
    ...(enablePrivilegedInitContainer === undefined ? {} : { privilegedInit: enablePrivilegedInitContainer }),
    ...(localProxyMode === undefined ? {} : { localProxyMode }),
    ...(resources === undefined || Object.keys(resources).length === 0 ? {} : { resources }),
    interception: toLists(injection.interception, object?.traffic),
  };
}

function toLists(chart: InterceptionLists = {}, traffic: MeshConfigObject['traffic'] | undefined): InterceptionLists {
  const join = <T>(ours: readonly T[] = [], theirs: readonly T[] = []): readonly T[] => [
    ...new Set([...ours, ...theirs]),
  ];
  return {
    outboundPortExclusions: join(chart.outboundPortExclusions, traffic?.outboundPortExclusionList),
    inboundPortExclusions: join(chart.inboundPortExclusions, traffic?.inboundPortExclusionList),
    outboundCidrExclusions: join(chart.outboundCidrExclusions, traffic?.outboundIPRangeExclusionList),
    outboundCidrInclusions: join(chart.outboundCidrInclusions, traffic?.outboundIPRangeInclusionList),
    interfaceExclusions: join(chart.interfaceExclusions, traffic?.networkInterfaceExclusionList),
  };
}
