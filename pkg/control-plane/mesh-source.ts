import type { MeshModel } from '../catalog/mesh-model.ts';
import type { Logger } from '../observability/logger.ts';
import type { ProxyPolicy } from '../policy/proxy-policy.ts';
import { type ResourceSource, type ResourceView, secretType, type XdsClient } from '../xds/resources.ts';
import type { EnvoyResources } from './envoy-resources.ts';
import { toOwnView } from './own-resources.ts';
import type { SecretViews } from './secret-views.ts';

/** The resources of the mesh as it was published last. */
export interface MeshSource extends ResourceSource {
  /** `moved`: pods of which something changed that is no part of the model, and that Envoys are told. */
  publish(model: MeshModel, moved?: Iterable<string>): void;
  /** Something else than the model changed: a certificate. */
  refresh(): void;
  model(): MeshModel | undefined;
  /** Undefined as long as nothing is known of the client's pod, or when the pod is another's. */
  policyOf(client: XdsClient): ProxyPolicy | undefined;
}

export interface MeshSourceOptions {
  readonly secrets: SecretViews;
  readonly envoy: EnvoyResources;
  readonly log: Logger;
}

/** What the program beside an Envoy calls itself (pkg/local/envoy/follow-mesh.ts). */
export const namesUserAgent = 'tulle-names';

/** Sidecars of our own say so; everybody else speaks the types of Envoy. */
export function isEnvoy({ userAgent }: Pick<XdsClient, 'userAgent'>): boolean {
  return !userAgent.startsWith('tulle');
}

export function createMeshSource({ secrets, envoy, log }: MeshSourceOptions): MeshSource {
  const listeners = new Set<(pods?: ReadonlySet<string>) => void>();
  /** The last view that could be made, by client and type: what is good is not taken down by what can't be made. */
  const good = new WeakMap<XdsClient, Map<string, ResourceView>>();
  const told = new Set<string>();
  /** One object for all that is told of one policy, others after each change of anything else. */
  let states = new WeakMap<object, object>();
  let hasFailed = false;
  let current: MeshModel | undefined;

  function policyOf({ identity, pod }: XdsClient): ProxyPolicy | undefined {
    if (pod === undefined) return current?.policyOf(identity);
    const policy = current?.pods.get(pod);
    return policy?.identity === identity ? policy : undefined;
  }

  function make(client: XdsClient, typeUrl: string): ResourceView | undefined {
    const policy = policyOf(client);
    if (typeUrl === secretType) {
      return secrets.view(client.identity, policy && isEnvoy(client) ? envoy.peers(client, policy) : undefined);
    }
    return policy && (toOwnView(policy, typeUrl) ?? envoy.view(client, policy, typeUrl));
  }

  const notify = (pods?: ReadonlySet<string>): void => {
    for (const listener of listeners) listener(pods);
  };

  return {
    policyOf,
    model: () => current,
    publish(model, moved = []) {
      const before = current;
      current = model;
      // What could not be made is tried again.
      const isForAll = before === undefined || hasFailed;
      hasFailed = false;
      notify(isForAll ? undefined : new Set([...changedPods(before, model), ...moved]));
    },
    refresh() {
      states = new WeakMap();
      notify();
    },
    stateOf(client) {
      const policy = policyOf(client);
      if (!policy) return undefined;
      try {
        const told = isEnvoy(client) ? envoy.stateOf(client, policy) : policy;
        const state = states.get(told) ?? {};
        states.set(told, state);
        return state;
      } catch {
        // Whoever asks for a view is told.
        return undefined;
      }
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    view(client, typeUrl) {
      const kept = good.get(client) ?? new Map<string, ResourceView>();
      good.set(client, kept);
      try {
        const view = make(client, typeUrl);
        if (view) kept.set(typeUrl, view);
        return view ?? kept.get(typeUrl);
      } catch (error) {
        states = new WeakMap();
        hasFailed = true;
        const key = `${client.identity} ${typeUrl} ${String(error)}`;
        if (!told.has(key)) log.error('resources could not be made; the last good ones stay', { typeUrl, error });
        if (told.size < 1000) told.add(key);
        return kept.get(typeUrl);
      }
    },
  };
}

/** The pods whose policy is another object than before, or new. */
function changedPods(before: MeshModel, after: MeshModel): string[] {
  const changed: string[] = [];
  if (before.pods === after.pods) return changed;
  for (const [pod, policy] of after.pods) if (before.pods.get(pod) !== policy) changed.push(pod);
  return changed;
}
