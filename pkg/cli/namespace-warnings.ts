import { installHint } from './check-cluster.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';
import { defaultMeshName } from './cluster-flags.ts';
import { allowPrivileged, type NamespaceObject, strictPodSecurity } from './namespace-state.ts';

/** That Pod Security will refuse its pods. */
export function whyRefused(namespace: NamespaceObject): string | undefined {
  const { name } = namespace.metadata;
  const level = strictPodSecurity(namespace);
  if (level === undefined) return undefined;
  return `Pod Security "${level}" of ${name} refuses pods with a sidecar: ${allowPrivileged(name)}`;
}

const injectors = 'tulle-injector-';

/** That no control plane serves the mesh, as far as whoever asks may see it. */
export async function whyUnserved({ cluster, meshName, controlNamespace }: ClusterAccess): Promise<string | undefined> {
  interface Webhooks {
    readonly items: readonly { readonly metadata: { readonly name: string } }[];
  }
  try {
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    const { items } = await cluster.request<Webhooks>('GET', path);
    const served = items
      .filter(({ metadata }) => metadata.name.startsWith(injectors))
      .map(({ metadata }) => metadata.name.slice(injectors.length));
    if (served.includes(meshName)) return undefined;
    const rest =
      served.length === 0
        ? `none is installed here: ${installHint(controlNamespace)}${meshName === defaultMeshName ? '' : ` --set meshName=${meshName}`}`
        : `served here: ${served.slice(0, 10).join(', ')}`;
    return `no control plane serves mesh ${meshName} (there is no MutatingWebhookConfiguration ${injectors}${meshName}), so pods get no sidecar; ${rest}`;
  } catch (error) {
    if (isForbidden(error) || isAbsent(error)) return undefined;
    throw error;
  }
}
