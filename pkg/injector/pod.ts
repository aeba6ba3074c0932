// A Pod as the API server sends it to a webhook: defaulted, not yet validated. Only what injection reads is named;
// all else passes through as it is.

type Rest = { readonly [field: string]: unknown };

export interface Pod extends Rest {
  readonly metadata?: PodMetadata;
  readonly spec?: PodSpec;
}

export interface PodMetadata extends Rest {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly {
    readonly kind?: string;
    readonly name?: string;
    readonly controller?: boolean;
  }[];
}

export interface PodSpec extends Rest {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly (Rest & { readonly name?: string })[];
  readonly imagePullSecrets?: readonly { readonly name?: string }[];
  readonly hostNetwork?: boolean;
  readonly serviceAccountName?: string;
  readonly restartPolicy?: string;
  readonly terminationGracePeriodSeconds?: number;
  readonly dnsPolicy?: string;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly os?: { readonly name?: string };
  readonly securityContext?: Rest & { readonly runAsUser?: number; readonly fsGroup?: number };
}

export interface Container extends Rest {
  readonly name?: string;
  readonly env?: readonly (Rest & { readonly name?: string })[];
  readonly restartPolicy?: string;
  readonly ports?: readonly ContainerPort[];
  readonly securityContext?: Rest & { readonly runAsUser?: number };
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly lifecycle?: Lifecycle;
  readonly volumeMounts?: readonly (Rest & { readonly name?: string; readonly mountPath?: string })[];
}

export interface ContainerPort extends Rest {
  readonly name?: string;
  readonly containerPort?: number;
  readonly protocol?: string;
}

export interface Handler extends Rest {
  readonly httpGet?: HttpGet;
  readonly tcpSocket?: Rest & { readonly port?: number | string; readonly host?: string };
  readonly grpc?: Rest & { readonly port?: number };
}

export interface HttpGet extends Rest {
  readonly path?: string;
  readonly port?: number | string;
  readonly host?: string;
  readonly scheme?: string;
}

export interface Probe extends Handler {
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
}

export interface Lifecycle extends Rest {
  readonly postStart?: Handler;
  readonly preStop?: Handler;
}

/** A native sidecar: an init container that goes on running. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

export function allContainers(spec: PodSpec): readonly Container[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
}

/** What its spans are named by: the controller that people know, the Deployment rather than its ReplicaSet. */
export function toWorkloadName({ metadata, spec }: Pod): string {
  const owners = metadata?.ownerReferences ?? [];
  const owner = owners.find(({ controller }) => controller === true) ?? owners[0];
  const hash = metadata?.labels?.['pod-template-hash'];
  const name = owner?.name ?? metadata?.name ?? metadata?.generateName?.replace(/-$/, '') ?? '';
  const trimmed = hash !== undefined && name.endsWith(`-${hash}`) ? name.slice(0, -hash.length - 1) : name;
  return trimmed || (spec?.serviceAccountName ?? 'unknown');
}
