import type { DenyReason } from '../policy/decide.ts';
import type { AppProtocol, PolicyMode } from '../policy/inbound.ts';
import type { PathFault } from '../policy/normalize-path.ts';
import type { Origin } from '../policy/origin.ts';
import type { Position } from '../problem/problem.ts';
import type { Answer } from './walk-call.ts';

/** The whole path of one decision, as data: what `tulle explain -o json` prints. */
export interface Explanation {
  readonly source: {
    /** `namespace/serviceaccount`; '' for a caller without a sidecar. */
    readonly account: string;
    readonly identity?: string;
    readonly workloads: readonly string[];
  };
  readonly destination: {
    /** `namespace/name` of the Service. */
    readonly service: string;
    readonly port: number;
    readonly protocol: AppProtocol;
    /** Only this pod of a headless Service. */
    readonly pod?: string;
  };
  readonly request?: RequestView;
  readonly split?: SplitView;
  /** Where it may come to, in the order of shares in the file; one entry per policy met. */
  readonly backends: readonly BackendView[];
  /** `malformed`: refused with 400 before policy. `depends`: no request was given, and rules ask for one. */
  readonly answer: Answer | 'depends';
  /** Share of the calls that is served, refused (403), finds nobody (503), and that no policy is asked of (400). */
  readonly served: number;
  readonly denied: number;
  readonly unavailable: number;
  readonly malformed: number;
  /** Why it is denied, or would be where policy is not enforced. */
  readonly reasons: readonly DenyReason[];
  /** The objects behind the verdict. */
  readonly because: readonly Finding[];
  /** What is least of all missing where something is denied, or would be. */
  readonly nearest?: Finding;
  readonly notes: readonly string[];
}

export interface Finding {
  readonly message: string;
  readonly at?: Position;
}

export interface RequestView {
  readonly method: string;
  /** As sent. */
  readonly target: string;
  /** What rules are held against; absent: it is refused with 400. */
  readonly path?: string;
  readonly fault?: PathFault;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface SplitView {
  readonly origin: Origin;
  readonly at?: Position;
  /** False: the split has `matches`, and this request fits none, so it goes to the root's own endpoints. */
  readonly matched: boolean;
  readonly shares: readonly SplitShare[];
}

export interface SplitShare {
  readonly backend: string;
  /** Absent: what is written there can't be read. */
  readonly weight?: number;
  /** 0 to 1. */
  readonly share: number;
  /** Why it takes none. */
  readonly out?: string;
  readonly at?: Position;
}

/** One of the places that a call may come to. */
export interface BackendView {
  readonly service: string;
  readonly share: number;
  readonly pods: readonly string[];
  readonly outcome: 'served' | 'denied' | 'unavailable' | 'malformed';
  /** Absent: nobody is there, or it has no sidecar. */
  readonly account?: string;
  readonly port?: number;
  readonly mode?: PolicyMode;
  readonly modeFrom?: string;
  readonly reason?: DenyReason;
  /** Every TrafficTarget that opens these pods. */
  readonly targets: readonly TargetView[];
}

export interface TargetView {
  readonly origin: Origin;
  readonly at?: Position;
  /** All its conditions hold. */
  readonly held: boolean;
  /** A rehearsal: what it grants is only reported. */
  readonly shadow: boolean;
  /** Source and port. */
  readonly conditions: readonly ConditionView[];
  /** Any of them; absent: it asks nothing of HTTP. */
  readonly matches?: readonly MatchView[];
  /** Why it, or a part of it, grants nothing. */
  readonly broken: readonly Finding[];
}

export interface MatchView {
  readonly name: string;
  readonly group: Origin;
  readonly at?: Position;
  /** Absent: no request was given. */
  readonly held?: boolean;
  readonly conditions: readonly ConditionView[];
}

export interface ConditionView {
  readonly what: 'source' | 'port' | 'method' | 'path' | 'header';
  /** Absent: no request was given. */
  readonly held?: boolean;
  readonly wanted: string;
  readonly actual: string;
  /** Name of the header. */
  readonly header?: string;
  readonly at?: Position;
}
