import type { ProcessSpec } from './launcher-protocol.ts';
import type { PodPlan } from './pod-plan.ts';

/** A pod that runs, as far as its sidecar must know it. */
export interface SidecarPod {
  readonly plan: PodPlan;
  readonly ip: string;
  readonly isolated: boolean;
  /** Its directory: config, token, sockets, logs. */
  readonly dir: string;
  /** Ports of the pod, and where its apps listen really. */
  readonly ports: readonly { readonly port: number; readonly appPort: number }[];
  /** Proxy mode: where it takes the calls of its app. */
  readonly proxy?: ProxyEntrance;
  /** Isolated mode, egress allowed: unix socket by which its sidecar reaches what is outside of the mesh. */
  readonly egressSocket?: string;
}

export interface ProxyEntrance {
  readonly port: number;
  readonly secret: string;
  /** A loopback port per TCP service. */
  readonly tcp: readonly { readonly service: string; readonly port: number }[];
}

/** A data plane: the Node sidecar or Envoy. The supervisor knows no more of it. */
export interface SidecarProgram {
  readonly kind: 'node' | 'envoy';
  /** Writes what it needs into the pod's directory; the process to run. */
  prepare(pod: SidecarPod): ProcessSpec;
  /** Whether it has its policy and takes traffic. */
  readonly isReady: (pod: SidecarPod) => Promise<boolean>;
}
