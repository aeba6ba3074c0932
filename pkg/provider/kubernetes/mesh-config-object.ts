import type { MeshConfig, RawObject } from '../../catalog/snapshot.ts';
import type { PolicyMode } from '../../policy/inbound.ts';
import type { Problem } from '../../problem/problem.ts';
import { createReader, isJsonObject, type JsonObject, type ObjectReader } from '../../smi/reader.ts';
import { modeKey } from '../objects/mesh-keys.ts';
import { textMap } from '../objects/text-map.ts';
import { reportInert } from './mesh-config-inert.ts';

/** What Open Service Mesh's MeshConfig says, v1alpha1 or v1alpha2; what it doesn't say is absent (DECISIONS S13). */
export interface MeshConfigObject {
  readonly mode?: PolicyMode;
  readonly egress?: MeshConfig['egress'];
  readonly sidecar: {
    readonly logLevel?: string;
    readonly enablePrivilegedInitContainer?: boolean;
    readonly localProxyMode?: 'Localhost' | 'PodIP';
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
  reportInert(spec, reader);
  return {
    ...(mode !== undefined && { mode }),
    ...(typeof enableEgress === 'boolean' && { egress: enableEgress ? ('allow' as const) : ('deny' as const) }),
    sidecar: {
      ...decodeLogLevel(sidecar, reader),
      ...(typeof sidecar['enablePrivilegedInitContainer'] === 'boolean' && {
        enablePrivilegedInitContainer: sidecar['enablePrivilegedInitContainer'],
      }),
      ...decodeLocalProxyMode(sidecar, reader),
      ...(isJsonObject(sidecar['resources']) && { resources: sidecar['resources'] }),
    },
    traffic: {
      inboundPortExclusionList: portsIn(traffic, 'inboundPortExclusionList', reader),
      outboundPortExclusionList: portsIn(traffic, 'outboundPortExclusionList', reader),
      outboundIPRangeExclusionList: textsIn(traffic, 'outboundIPRangeExclusionList'),
      outboundIPRangeInclusionList: textsIn(traffic, 'outboundIPRangeInclusionList'),
      networkInterfaceExclusionList: textsIn(traffic, 'networkInterfaceExclusionList'),
    },
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
  const annotated = textMap(metadata.annotations)[modeKey];
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

const logLevels = ['trace', 'debug', 'info', 'warning', 'warn', 'error', 'critical', 'off'];

/** Envoy would not start with another. */
function decodeLogLevel(sidecar: JsonObject, reader: ObjectReader): { readonly logLevel?: string } {
  const { logLevel } = textOf(sidecar, 'logLevel');
  if (logLevel === undefined || logLevels.includes(logLevel)) return logLevel === undefined ? {} : { logLevel };
  const message = `there is no log level "${logLevel.slice(0, 40)}", so the installation's is taken`;
  reader.report('/spec/sidecar/logLevel', 'FieldInvalid', message, `write ${logLevels.join(', ')}`);
  return {};
}

function decodeLocalProxyMode(
  { localProxyMode: mode }: JsonObject,
  reader: ObjectReader,
): Pick<MeshConfigObject['sidecar'], 'localProxyMode'> {
  if (mode === 'Localhost' || mode === 'PodIP') return { localProxyMode: mode };
  if (mode !== undefined && mode !== null && mode !== '') {
    const message = 'localProxyMode is neither Localhost nor PodIP, so Localhost is taken';
    reader.report('/spec/sidecar/localProxyMode', 'FieldInvalid', message, 'write Localhost or PodIP');
  }
  return {};
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
