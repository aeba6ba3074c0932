import type { MeshConfig, RawObject } from '../../catalog/snapshot.ts';
import type { PolicyMode } from '../../policy/inbound.ts';
import type { Problem } from '../../problem/problem.ts';
import { createReader, isJsonObject, type JsonObject, type ObjectReader } from '../../smi/reader.ts';
import { textMap } from '../objects/text-map.ts';

/** What Open Service Mesh's MeshConfig says, v1alpha1 or v1alpha2; what it doesn't say is absent (DECISIONS S13). */
export interface MeshConfigObject {
  readonly mode?: PolicyMode;
  readonly egress?: MeshConfig['egress'];
  readonly sidecar: {
    readonly logLevel?: string;
    readonly envoyImage?: string;
    readonly initContainerImage?: string;
    readonly enablePrivilegedInitContainer?: boolean;
    /** ResourceRequirements, as written. */
    readonly resources?: JsonObject;
  };
  readonly traffic: {
    readonly inboundPortExclusionList: readonly number[];
    readonly outboundPortExclusionList: readonly number[];
    readonly outboundIPRangeExclusionList: readonly string[];
    readonly outboundIPRangeInclusionList: readonly string[];
    readonly networkInterfaceExclusionList: readonly string[];
  };
  readonly tracing?: {
    readonly enable: boolean;
    readonly address?: string;
    readonly port?: number;
    readonly endpoint?: string;
  };
  readonly problems: readonly Problem[];
}

/** `enablePermissiveTrafficPolicyMode` false is enforce; only our own annotation can say shadow. */
export function decodeMeshConfigObject(raw: RawObject): MeshConfigObject {
  const { apiVersion, kind, metadata } = raw;
  const reader = createReader({ apiVersion, kind, namespace: metadata.namespace, name: metadata.name });
  const spec = section(raw, 'spec');
  const traffic = section(spec, 'traffic');
  const sidecar = section(spec, 'sidecar');
  const mode = decodeMode(raw, traffic, reader);
  const { enableEgress } = traffic;
  reportUnsupported(spec, traffic, reader);
  const tracing = decodeTracing(section(section(spec, 'observability'), 'tracing'));
  return {
    ...(mode !== undefined && { mode }),
    ...(typeof enableEgress === 'boolean' && { egress: enableEgress ? ('allow' as const) : ('deny' as const) }),
    sidecar: {
      ...textOf(sidecar, 'logLevel'),
      ...textOf(sidecar, 'envoyImage'),
      ...textOf(sidecar, 'initContainerImage'),
      ...(typeof sidecar['enablePrivilegedInitContainer'] === 'boolean' && {
        enablePrivilegedInitContainer: sidecar['enablePrivilegedInitContainer'],
      }),
      ...(isJsonObject(sidecar['resources']) && { resources: sidecar['resources'] }),
    },
    traffic: {
      inboundPortExclusionList: portsIn(traffic, 'inboundPortExclusionList', reader),
      outboundPortExclusionList: portsIn(traffic, 'outboundPortExclusionList', reader),
      outboundIPRangeExclusionList: textsIn(traffic, 'outboundIPRangeExclusionList'),
      outboundIPRangeInclusionList: textsIn(traffic, 'outboundIPRangeInclusionList'),
      networkInterfaceExclusionList: textsIn(traffic, 'networkInterfaceExclusionList'),
    },
    ...(tracing && { tracing }),
    problems: reader.problems,
  };
}

/** What holds for the mesh: the object where it says something, else what the installation says. */
export function toEffectiveConfig(
  installed: MeshConfig,
  object: Pick<MeshConfigObject, 'mode' | 'egress'> | undefined,
  name: string,
): MeshConfig {
  const { mode, egress } = object ?? {};
  if (mode === undefined && egress === undefined) return installed;
  return {
    ...installed,
    ...(mode !== undefined && { mode, modeFrom: `MeshConfig ${name}` }),
    ...(egress !== undefined && { egress }),
  };
}

function decodeMode({ metadata }: RawObject, traffic: JsonObject, reader: ObjectReader): PolicyMode | undefined {
  const annotated = textMap(metadata.annotations)['tulle.dev/mode'];
  if (annotated === 'permissive' || annotated === 'shadow' || annotated === 'enforce') return annotated;
  if (annotated !== undefined) {
    const message = `there is no mode "${annotated.slice(0, 40)}", so enforce is taken`;
    const fix = 'write permissive, shadow or enforce, or remove the annotation';
    reader.report('/metadata/annotations/tulle.dev~1mode', 'FieldInvalid', message, fix);
    return 'enforce';
  }
  const permissive = traffic['enablePermissiveTrafficPolicyMode'];
  if (typeof permissive !== 'boolean') return undefined;
  return permissive ? 'permissive' : 'enforce';
}

function decodeTracing(tracing: JsonObject): MeshConfigObject['tracing'] {
  const { enable, port } = tracing;
  if (typeof enable !== 'boolean') return undefined;
  return {
    enable,
    ...textOf(tracing, 'address'),
    ...textOf(tracing, 'endpoint'),
    ...(typeof port === 'number' && { port }),
  };
}

/** What would weaken a mesh if it were passed over in silence. */
function reportUnsupported(spec: JsonObject, traffic: JsonObject, reader: ObjectReader): void {
  if (section(traffic, 'inboundExternalAuthorization')['enable'] === true) {
    const message = 'external authorization is recognised, but not in force: nobody is asked';
    const fix = 'authorize in the application, or by TrafficTargets, until it is';
    reader.report('/spec/traffic/inboundExternalAuthorization', 'KindUnsupported', message, fix);
  }
  if (isJsonObject(section(spec, 'certificate')['ingressGateway'])) {
    const message = 'certificates for ingress gateways are recognised, but none is issued';
    const fix = 'exclude the port that the ingress uses: openservicemesh.io/inbound-port-exclusion-list';
    reader.report('/spec/certificate/ingressGateway', 'KindUnsupported', message, fix, 'warning');
  }
}

function section(object: JsonObject, field: string): JsonObject {
  const value = object[field];
  return isJsonObject(value) ? value : {};
}

function textOf<K extends string>(object: JsonObject, field: K): { readonly [key in K]?: string } {
  const value = object[field];
  return typeof value === 'string' && value !== '' ? ({ [field]: value } as { readonly [key in K]: string }) : {};
}

function textsIn(object: JsonObject, field: string): readonly string[] {
  const value = object[field];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function portsIn(object: JsonObject, field: string, reader: ObjectReader): readonly number[] {
  const value = object[field];
  if (!Array.isArray(value)) return [];
  return value.flatMap((item, i) => reader.port(item, `/spec/traffic/${field}/${i}`) ?? []);
}
