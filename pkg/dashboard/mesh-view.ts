import type { AppProtocol, PolicyMode } from '../policy/inbound.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { Problem } from '../problem/problem.ts';

/**
 * What the control plane shows of the mesh: the page and the HTTP API read it, and nothing else of the control plane.
 * Traffic (flows, observed shares, traces) does not pass through here: it comes from the trace store.
 */
export interface MeshView {
  /** The state now. Cheap: the same object as long as nothing changed. */
  state(): MeshState;
  /** Calls back after each change of what `state` gives, until the returned function is called. */
  subscribe(listener: () => void): () => void;
}

export interface MeshState {
  /** Name of this mesh, as in the run directory; the name of the release in a cluster. */
  readonly id: string;
  readonly mode: PolicyMode;
  /** `flag --mode`, `default`, … */
  readonly modeFrom: string;
  readonly trustDomain: string;
  /** Share of the traces that are recorded: all numbers of traffic are of these. Absent: all. */
  readonly sampling?: number;
  /** How workloads are intercepted (DECISIONS L2, K5). */
  readonly isolation: 'isolated' | 'proxy' | 'cluster';
  /** What is read, for people: `demo/bookstore`, `kubernetes`. */
  readonly inputs: readonly string[];
  readonly services: readonly ServiceState[];
  readonly pods: readonly PodState[];
  /** With positions, sorted as `tulle analyze` prints them. */
  readonly problems: readonly Problem[];
  readonly proxies: readonly ProxyState[];
  readonly splits: readonly SplitState[];
}

export interface ServiceState {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly {
    readonly port: number;
    readonly protocol: AppProtocol;
  }[];
  /** Accounts behind its endpoints, `namespace/serviceaccount`, sorted. Empty: nothing is behind it. */
  readonly accounts: readonly string[];
  /** Endpoints that take traffic, and all. */
  readonly ready: number;
  readonly endpoints: number;
}

export interface PodState {
  /** `namespace/name`. */
  readonly pod: string;
  /** `namespace/serviceaccount`. */
  readonly account: string;
  /** `bookstore/Deployment/bookstore-v1`. */
  readonly owner?: string;
  readonly ready: boolean;
  readonly sidecar: 'node' | 'envoy' | 'none';
  /** What a browser can open: `http://127.0.0.1:40123`. */
  readonly address?: string;
}

/** One connected sidecar. */
export interface ProxyState {
  /** `namespace/name`; empty for a client that serves nothing (`tulle run`). */
  readonly pod: string;
  readonly identity: ServiceIdentity;
  readonly nodeId: string;
  readonly kind: 'node' | 'envoy';
  readonly types: readonly ProxyTypeState[];
}

export interface ProxyTypeState {
  readonly typeUrl: string;
  /** The newest state is acknowledged. */
  readonly synced: boolean;
  /** Why the proxy refused what it was last sent. */
  readonly nack?: string;
}

/** What a TrafficSplit in force asks for. */
export interface SplitState {
  /** `namespace/name` of the TrafficSplit. */
  readonly split: string;
  /** `namespace/name` of its root service. */
  readonly root: string;
  /** In the order of the user's file. */
  readonly wanted: readonly WantedShare[];
}

export interface WantedShare {
  /** Name of the backend's Service, in the namespace of the split. */
  readonly backend: string;
  readonly weight: number;
  /** Takes no share, and why. */
  readonly excluded?: 'BackendNotFound' | 'BackendPortMissing';
}
