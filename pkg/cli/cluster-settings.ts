import type { MeshConfig } from '../catalog/snapshot.ts';
import { isJsonObject } from '../smi/reader.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';

export interface MeshSettings {
  readonly config: MeshConfig;
  /** Where traces are sent on to, when they are. */
  readonly collector?: string;
  /** Apps wait at a gate that their sidecars open (record 0010). */
  readonly fastStart?: boolean;
  /** Said to the user: what is taken for granted because it can't be read. */
  readonly note?: string;
}

/** What the chart sets when nothing is set (charts/tulle/values.yaml). */
const chartDefaults: MeshConfig = {
  mode: 'permissive',
  modeFrom: 'default',
  trustDomain: 'cluster.local',
  pathMatch: 'full',
  egress: 'allow',
  tracing: { sampling: 1 },
};

const controllerConfigMap = 'tulle-controller';

/** The settings that the control plane was installed with; MeshConfig and namespaces stand above them. */
export async function readMeshSettings({
  cluster,
  controlNamespace,
}: Pick<ClusterAccess, 'cluster' | 'controlNamespace'>): Promise<MeshSettings> {
  const assumed = `mode permissive, full path matches and trust domain ${chartDefaults.trustDomain} are assumed`;
  try {
    const { data } = await cluster.request<{ readonly data?: Readonly<Record<string, string>> }>(
      'GET',
      `/api/v1/namespaces/${controlNamespace}/configmaps/${controllerConfigMap}`,
    );
    return decodeSettings(data?.['config.json'] ?? '');
  } catch (error) {
    if (isForbidden(error)) {
      const note = `you may not read ConfigMap ${controllerConfigMap} in ${controlNamespace}: ${assumed}; --mode and --path-match say otherwise`;
      return { config: chartDefaults, note };
    }
    if (!isAbsent(error)) throw error;
    const note = `no control plane in namespace ${controlNamespace} (--control-namespace says where else): ${assumed}`;
    return { config: chartDefaults, note };
  }
}

/** It was written by the chart, but by another version of it, maybe: what is not as expected is as it comes. */
export function decodeSettings(text: string): MeshSettings {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return {
      config: chartDefaults,
      note: `ConfigMap ${controllerConfigMap} can't be understood: defaults are assumed`,
    };
  }
  const root = isJsonObject(json) ? json : {};
  const mesh = isJsonObject(root['mesh']) ? root['mesh'] : {};
  const tracing = isJsonObject(mesh['tracing']) ? mesh['tracing'] : {};
  const { mode, modeFrom, pathMatch, trustDomain, egress } = mesh;
  const { sampling } = tracing;
  const collector = root['otlpForward'];
  const kubernetes = isJsonObject(root['kubernetes']) ? root['kubernetes'] : {};
  const injection = isJsonObject(kubernetes['injection']) ? kubernetes['injection'] : {};
  return {
    config: {
      mode: mode === 'enforce' || mode === 'shadow' || mode === 'permissive' ? mode : chartDefaults.mode,
      modeFrom: typeof modeFrom === 'string' ? modeFrom : chartDefaults.modeFrom,
      pathMatch: pathMatch === 'start' ? 'start' : 'full',
      trustDomain: typeof trustDomain === 'string' ? trustDomain : chartDefaults.trustDomain,
      egress: egress === 'deny' ? 'deny' : 'allow',
      tracing: { sampling: typeof sampling === 'number' ? sampling : chartDefaults.tracing.sampling },
    },
    ...(typeof collector === 'string' && collector !== '' && { collector }),
    ...(injection['fastStart'] === true && { fastStart: true }),
  };
}
