import type { AppProtocol, PolicyMode } from '../policy/inbound.ts';
import type { LocalAnswer } from './denial.ts';
import type { Upstream } from './upstream.ts';

export type Direction = 'inbound' | 'outbound';

/** What is known of one request or connection; filled in as it goes its way. It becomes a span, a count, a line of text. */
export interface Call {
  readonly direction: Direction;
  readonly protocol: AppProtocol;
  /** `namespace/serviceaccount`; empty: unknown. */
  readonly source: string;
  /** `namespace/name:port`. */
  readonly service: string;
  /** `namespace/name` of the TrafficSplit. */
  split?: string;
  /** Service name of the backend. */
  backend?: string;
  /** `namespace/serviceaccount` of the endpoint, or the own. */
  destination?: string;
  /** `namespace/name` of the peer's pod (outbound). */
  pod?: string;
  /** `namespace/name` of the TrafficTarget. */
  rule?: string;
  verdict: 'allowed' | 'denied' | 'would-deny';
  reason?: string;
  /** `namespace/name` of TrafficTargets in shadow that would have allowed it. */
  shadow?: readonly string[];
  mode?: PolicyMode;
}

/** A way for one attempt. It ends with exactly one `done`. */
export interface Route {
  readonly upstream: Upstream;
  /** True: an app answers, and not a sidecar; reserved headers in its answer are its own invention. */
  readonly fromApp: boolean;
  /** No connection could be made. */
  readonly failed: () => void;
  readonly succeeded: () => void;
  readonly done: () => void;
}

/** What becomes of a call. */
export type Ruling =
  | {
      readonly kind: 'answer';
      readonly call: Call;
      readonly answer: LocalAnswer;
    }
  | {
      readonly kind: 'forward';
      readonly call: Call;
      /** The way for the first or for one more attempt; undefined when there is none (left). */
      readonly next: () => Route | undefined;
      /** False once the policy has taken back what it granted; for tunnels and TCP. */
      readonly stillAllowed: () => boolean;
    };

/** The way to an upstream that there is no choice of: a pod by its own address, the own app, a host outside. */
export function toSoleRoute(upstream: Upstream, fromApp: boolean): Route {
  return { upstream, fromApp, failed() {}, succeeded() {}, done() {} };
}
