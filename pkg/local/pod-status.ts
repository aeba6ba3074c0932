import type { PodPlan } from './pod-plan.ts';

export interface ContainerStatus {
  readonly name: string;
  state: 'waiting' | 'running' | 'terminated';
  /** `CrashLoopBackOff`, `Completed`, `Error`, `StartError`, or why it waits. */
  reason: string;
  message: string;
  restarts: number;
  ready: boolean;
  pid?: number;
}

export interface PodStatus {
  phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  ready: boolean;
  stopping: boolean;
  readonly ip: string;
  readonly containers: ContainerStatus[];
  readonly inits: ContainerStatus[];
  readonly sidecar: ContainerStatus | undefined;
  /** What a browser on this machine can open, by port. */
  readonly addresses: readonly { readonly port: number; readonly url: string }[];
}

/** The Pod object that the controller reads: what a kubelet would report. */
export function toPodObject(plan: PodPlan, status: PodStatus, inboundAddress: string | undefined): object {
  const address = status.addresses[0]?.url;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: plan.name,
      namespace: plan.namespace,
      labels: plan.labels,
      annotations: {
        ...plan.annotations,
        'tulle.dev/owner': plan.owner,
        'tulle.dev/sidecar': plan.sidecar,
        ...(inboundAddress === undefined ? {} : { 'tulle.dev/inbound-address': inboundAddress }),
        ...(address === undefined ? {} : { 'tulle.dev/app-address': address }),
      },
    },
    spec: {
      serviceAccountName: plan.serviceAccount,
      hostname: plan.hostname,
      ...(plan.subdomain === undefined ? {} : { subdomain: plan.subdomain }),
      containers: plan.containers.map(({ name, ports }) => ({
        name,
        ports: ports.map((port) => ({ ...(port.name === '' ? {} : { name: port.name }), containerPort: port.port })),
      })),
    },
    status: {
      phase: status.phase,
      podIP: status.ip,
      conditions: [{ type: 'Ready', status: status.ready ? 'True' : 'False' }],
      containerStatuses: [...status.containers, ...(status.sidecar ? [status.sidecar] : [])].map(
        ({ name, ready, restarts, state, reason, message }) => ({
          name,
          ready,
          restartCount: restarts,
          state: { [state]: state === 'running' ? {} : { reason, message } },
        }),
      ),
    },
  };
}
