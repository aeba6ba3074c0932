import type { HttpRequest } from '../policy/match.ts';
import { normalizePath } from '../policy/normalize-path.ts';
import type { Call, Direction, Ruling } from './call.ts';
import { toBadRequest } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import { linesOf, toForwardedRequestHeaders } from './headers.ts';
import type { RawHeaders } from './headers.ts';
import type { Http1Pool } from './http1-pool.ts';
import type { Http2Pool } from './http2-pool.ts';
import type { InFlight } from './in-flight.ts';
import type { Peer } from './peer-identity.ts';
import type { HttpFacts, Recorder } from './recorder.ts';
import { decodeTrace, toTraceHeaders } from './trace-context.ts';
import type { HopTrace } from './trace-context.ts';

/** What one listener does with HTTP requests, whatever their version. */
export interface HttpSite {
  readonly direction: Direction;
  /** For what is refused before it is decided. */
  blank(): Call;
  rule(request: HttpRequest, peer: Peer): Ruling;
  readonly http1: Http1Pool;
  readonly http2: Http2Pool;
  readonly recorder: Recorder;
  readonly limits: Limits;
  readonly inFlight: InFlight;
  /** True: answers end their connections. */
  draining(): boolean;
}

export interface Limits {
  /** Silence on a stream that ends it (Envoy's default: 5 min). */
  readonly streamIdle: number;
  /** A head that isn't complete by then. */
  readonly headers: number;
  /** Kept-alive connections of clients. */
  readonly connectionIdle: number;
  /** TCP without a byte (Envoy's default: 1 h). */
  readonly tcpIdle: number;
  /** Per listener. */
  readonly connections: number;
}

export const defaultLimits: Limits = {
  streamIdle: 300_000,
  headers: 30_000,
  connectionIdle: 600_000,
  tcpIdle: 3_600_000,
  connections: 8192,
};

/** A request on its way: decided, recorded when it ends. */
export interface Exchange {
  readonly site: HttpSite;
  readonly ruling: Ruling;
  readonly facts: HttpFacts;
  readonly trace: HopTrace;
  /** The normalised target that goes on. */
  readonly target: string;
  /** End-to-end headers with the trace of this hop, flat; host and framing are the caller's. */
  readonly headers: readonly string[];
  /** Records it, once. */
  end(error?: string): void;
}

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly raw: RawHeaders;
  readonly version: HttpFacts['version'];
}

/** Decides a request. `refusal` is for a head that can't be read in one way only. */
export function beginExchange(site: HttpSite, head: RequestHead, peer: Peer, refusal?: LocalAnswer): Exchange {
  const { recorder, direction } = site;
  const { method, authority, raw } = head;
  const startedAt = recorder.now();
  const leave = site.inFlight.enter();
  const header = (name: string): readonly string[] => (name === 'host' ? [authority] : linesOf(raw, name));
  const trace = recorder.trace(decodeTrace(header));
  const normal = normalizePath(head.target);
  const path = normal.ok ? normal.path : head.target;
  const query = normal.ok ? normal.query : '';
  const target = toTarget(path, query);
  const refused = refusal ?? (normal.ok ? undefined : toBadRequest(`path refused: ${normal.reason}`));
  const ruling = refused ? toRefusal(site, refused) : site.rule({ method, path: target, authority, header }, peer);
  const facts = toFacts(head, path, query, header);
  const headers = toForwardedRequestHeaders(raw);
  headers.push(...toTraceHeaders(trace));
  if (direction === 'inbound' && peer.forwardedCert !== undefined) {
    headers.push('x-forwarded-client-cert', peer.forwardedCert);
  }
  let ended = false;
  return {
    site,
    ruling,
    facts,
    trace,
    target,
    headers,
    end(error) {
      if (ended) return;
      ended = true;
      leave();
      recorder.end({
        call: ruling.call,
        trace,
        startedAt,
        http: facts,
        ...(error === undefined ? {} : { error }),
      });
    },
  };
}

function toTarget(path: string, query: string): string {
  if (query === '') return path;
  return query.startsWith('?') ? `${path}${query}` : `${path}?${query}`;
}

function toRefusal(site: HttpSite, answer: LocalAnswer): Ruling {
  const call = site.blank();
  call.verdict = 'denied';
  call.reason = answer.reason;
  return { kind: 'answer', call, answer };
}

function toFacts(
  { method, authority, version }: RequestHead,
  path: string,
  query: string,
  header: (name: string) => readonly string[],
): HttpFacts {
  const [userAgent] = header('user-agent');
  const grpc = header('content-type')[0]?.startsWith('application/grpc') === true;
  const [, service = '', rpc = ''] = grpc ? path.split('/') : [];
  return {
    method,
    path,
    query: query.startsWith('?') ? query.slice(1) : query,
    authority,
    version,
    ...(userAgent === undefined ? {} : { userAgent }),
    ...(grpc ? { grpc: { service, method: rpc } } : {}),
    status: 0,
  };
}
