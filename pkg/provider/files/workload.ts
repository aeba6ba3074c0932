/**
 * What the laptop runtime needs to run a workload's processes, as the manifest has it: nothing is resolved here
 * (ConfigMaps, the downward API, `$(VAR)`), nothing is started. The same object as before while its manifest says the same.
 */
export interface Workload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  /** DaemonSet and Pod: 1. Job: its parallelism. */
  readonly replicas: number;
  /** Of the pod template. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of the pod template. */
  readonly annotations: Readonly<Record<string, string>>;
  /** `default` when none is named. */
  readonly serviceAccount: string;
  /** StatefulSet: its headless Service, whose DNS zone has the pods' names. */
  readonly serviceName?: string;
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly hostNetwork: boolean;
  readonly containers: readonly Container[];
  /** Names of the init containers; those with `restartPolicy: Always` are among `containers`. */
  readonly initContainers: readonly string[];
  /** The same as they are; absent when there are none. */
  readonly inits?: readonly InitContainer[];
}

export interface InitContainer extends Container {
  /** Why it makes no sense, or could do harm, outside of a container: it works on volumes, or on the node. */
  readonly needsContainer?: 'volumes' | 'privileges';
}

export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'DaemonSet' | 'Job' | 'Pod' | 'ReplicaSet';

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly EnvEntry[];
  readonly envFrom: readonly EnvFromEntry[];
  readonly workingDir?: string;
  readonly ports: readonly ContainerPort[];
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly startupProbe?: Probe;
}

export interface ContainerPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}

/** As Kubernetes has it: a value, or one of the sources. */
export interface EnvEntry {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly configMapKeyRef?: KeyRef;
    readonly secretKeyRef?: KeyRef;
    readonly resourceFieldRef?: { readonly resource: string; readonly containerName?: string };
  };
}

export interface KeyRef {
  readonly name: string;
  readonly key: string;
  readonly optional: boolean;
}

export interface EnvFromEntry {
  readonly prefix: string;
  readonly configMapRef?: { readonly name: string; readonly optional: boolean };
  readonly secretRef?: { readonly name: string; readonly optional: boolean };
}

export interface Probe {
  readonly httpGet?: {
    readonly path: string;
    readonly port: number | string;
    readonly scheme: string;
    readonly httpHeaders: readonly { readonly name: string; readonly value: string }[];
  };
  readonly tcpSocket?: { readonly port: number | string };
  readonly grpc?: { readonly port: number; readonly service: string };
  readonly exec?: { readonly command: readonly string[] };
  readonly initialDelaySeconds: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

export interface ConfigMap {
  readonly namespace: string;
  readonly name: string;
  readonly data: Readonly<Record<string, string>>;
}
