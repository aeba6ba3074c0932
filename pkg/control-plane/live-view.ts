import type { MeshModel } from '../catalog/mesh-model.ts';
import type { MeshConfig, MeshSnapshot } from '../catalog/snapshot.ts';
import type { MeshState, MeshView } from '../dashboard/mesh-view.ts';
import type { Problem } from '../problem/problem.ts';
import { lazily } from './lazily.ts';
import { toPodStates, toServiceStates, toSplitStates } from './mesh-state.ts';

export interface LiveViewOptions {
  readonly controller: Pick<MeshState, 'id' | 'isolation' | 'inputs'>;
  /** What is said of the mesh before anything was read. */
  readonly mesh: MeshConfig;
  readonly inForce: () => MeshInForce;
  readonly proxies: () => MeshState['proxies'];
}

/** Both absent until the first mesh was built. */
interface MeshInForce {
  readonly snapshot?: MeshSnapshot | undefined;
  readonly model?: MeshModel | undefined;
  readonly problems: readonly Problem[];
}

/** The mesh as people see it. Nothing is made unless somebody looks, and then it stays until it is out of date. */
export interface LiveView extends MeshView {
  /** Another mesh is in force, or other problems. */
  meshChanged(): void;
  /** A proxy came, went, or is farther than it was. */
  proxiesChanged(): void;
}

export function createLiveView({ controller, mesh, inForce, proxies }: LiveViewOptions): LiveView {
  const listeners = new Set<() => void>();
  let parts: ReturnType<typeof createParts> | undefined;
  let state: MeshState | undefined;
  let telling = false;

  function tell(): void {
    state = undefined;
    for (const listener of listeners) listener();
  }

  function toState(): MeshState {
    const { snapshot, problems } = inForce();
    const { services, pods, splits } = (parts ??= createParts(inForce()));
    // Asking how far each proxy is costs a look at all of them: done for who reads it.
    const current = lazily(proxies);
    return {
      ...controller,
      mode: snapshot?.config.mode ?? mesh.mode,
      modeFrom: snapshot?.config.modeFrom ?? mesh.modeFrom,
      trustDomain: mesh.trustDomain,
      problems,
      get services() {
        return services();
      },
      get pods() {
        return pods();
      },
      get splits() {
        return splits();
      },
      get proxies() {
        return current();
      },
    };
  }

  return {
    state: () => (state ??= toState()),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    meshChanged() {
      parts = undefined;
      tell();
    },
    /** A thousand proxies that acknowledge one change are one piece of news. */
    proxiesChanged() {
      state = undefined;
      if (telling) return;
      telling = true;
      setImmediate(() => {
        telling = false;
        tell();
      });
    },
  };
}

/** What stays while proxies come and go. */
function createParts({ snapshot, model }: MeshInForce): {
  readonly [K in 'services' | 'pods' | 'splits']: () => MeshState[K];
} {
  return {
    services: lazily(() => (snapshot && model ? toServiceStates(snapshot, model) : [])),
    pods: lazily(() => (snapshot && model ? toPodStates(snapshot) : [])),
    splits: lazily(() => (model ? toSplitStates(model) : [])),
  };
}
