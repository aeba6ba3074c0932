/**
 * What the supervisor and the launcher of a pod say to each other: lines of JSON over one socket, descriptor 3 of the
 * launcher. When it closes, because the supervisor ended in whatever way, the launcher ends and everything in it.
 */
export const controlDescriptor = 3;

export interface ProcessSpec {
  /** Absolute, or a name that is found on the PATH of `env`. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** An app: it runs without rights over the namespaces of its pod, and sees neither the sidecar nor its secrets. */
  readonly confined: boolean;
  /** It ends in order what it has started: told to end, it is told alone. */
  readonly endsItsOwn?: boolean;
  /** File that keeps its last output, bounded; absent: it has the standard streams of the launcher. */
  readonly log?: string;
  /** Before each of its lines in the file: several processes may share it. */
  readonly logPrefix?: string;
}

export type ProbeHandler =
  | {
      readonly kind: 'http';
      readonly port: number;
      readonly path: string;
      readonly tls: boolean;
      readonly headers: Readonly<Record<string, string>>;
      readonly host?: string;
    }
  | { readonly kind: 'tcp'; readonly port: number; readonly host?: string }
  | { readonly kind: 'exec'; readonly spec: ProcessSpec };

export interface Probe {
  readonly handler: ProbeHandler;
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
  /** Ask fast until the first success: for the default probe, and before the first period has passed. */
  readonly eager: boolean;
  /** The first failures count like all others, and time keeps to the period: what follows is a restart. */
  readonly counted?: boolean;
}

export type ProbeKind = 'readiness' | 'liveness' | 'startup';

export type LauncherCommand =
  /** Changes nothing while one of this name runs. */
  | { readonly type: 'start'; readonly name: string; readonly spec: ProcessSpec }
  | { readonly type: 'signal'; readonly name: string; readonly signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT' }
  /** One of each kind per process; one that comes later replaces it. */
  | { readonly type: 'watch'; readonly name: string; readonly kind: ProbeKind; readonly probe: Probe }
  /** Of all kinds, when none is named. */
  | { readonly type: 'unwatch'; readonly name: string; readonly kind?: ProbeKind }
  /** Lets connections to a unix socket in, to a port of the pod. */
  | { readonly type: 'relay'; readonly port: number; readonly socket: string };

export type LauncherEvent =
  | { readonly type: 'up' }
  | { readonly type: 'started'; readonly name: string; readonly pid: number }
  | { readonly type: 'failed'; readonly name: string; readonly message: string }
  | { readonly type: 'exited'; readonly name: string; readonly code: number | null; readonly signal: string | null }
  | { readonly type: 'log'; readonly name: string; readonly stream: 'out' | 'err'; readonly line: string }
  | {
      readonly type: 'probe';
      readonly name: string;
      readonly kind: ProbeKind;
      readonly success: boolean;
      readonly message: string;
    };

/** How the launcher itself is to run, its only argument, as JSON. */
export interface LauncherOptions {
  /** Addresses at which the apps of the pod may listen; the first that answers is taken. */
  readonly hosts: readonly string[];
  /** Present in isolated mode. */
  readonly confine?: Confinement;
  /** Send output on, line by line. */
  readonly forwardLogs: boolean;
}

export interface Confinement {
  /** Hidden from apps: the run directories of all meshes of this user. */
  readonly hide: string;
  readonly uid: number;
  readonly gid: number;
}
