import type { HttpRequest } from '../policy/match.ts';
import { normalizePath } from '../policy/normalize-path.ts';
import type { Call, Direction, Ruling } from './call.ts';
import { toBadRequest, withTrace } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import type { Http2Pool } from './http2-pool.ts';
import type { InFlight } from './in-flight.ts';
import type { Peer } from './peer-identity.ts';
import type { HttpFacts, Recorder } from './recorder.ts';
import type { HeaderLookup, HopTrace, IncomingTrace } from './trace-context.ts';

/** What one listener does with HTTP requests, whatever their version. */
export interface HttpSite {
  readonly direction: Direction;
  /** For what is refused before it is decided. */
  blank(): Call;
  rule(request: HttpRequest, peer: Peer): Ruling;
  readonly http2: Http2Pool;
  readonly recorder: Recorder;
  readonly limits: Limits;
  readonly inFlight: InFlight;
  /** Headers that a rule of the policy in force looks at, and that spans therefore show. */
  headerNames(): readonly string[];
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
  /** Records it, once. */
  end(error?: string): void;
}

/** A request as its version's codec read it. */
export interface AskedRequest {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly version: HttpFacts['version'];
  /** The lines of a header as the next hop will see them. */
  readonly header: HeaderLookup;
  readonly trace: IncomingTrace;
  /** Why the head can't be read in one way only. */
  readonly refusal?: LocalAnswer | undefined;
  /** Calls back once what was written to the client is on its way; absent: it is at the end. */
  readonly whenSent?: (callback: () => void) => void;
}

/** Decides a request. */
export function beginExchange(site: HttpSite, asked: AskedRequest, peer: Peer): Exchange {
  const { recorder } = site;
  const { method, authority, whenSent } = asked;
  const startedAt = recorder.now();
  const leave = site.inFlight.enter();
  const header: HeaderLookup = (name) => (name === 'host' ? [authority] : asked.header(name));
  const trace = recorder.trace(asked.trace);
  const normal = normalizePath(asked.target);
  const path = normal.ok ? normal.path : asked.target;
  const query = normal.ok ? normal.query : '';
  const target = toTarget(path, query);
  const refused = asked.refusal ?? (normal.ok ? undefined : toBadRequest(`path refused: ${normal.reason}`));
  const ruling = refused ? toRefusal(site, refused) : site.rule({ method, path: target, authority, header }, peer);
  const facts = toFacts(asked, path, query, header);
  if (trace.sampled) facts.headers = toRecorded(site.headerNames(), header);
  let ended = false;
  return {
    site,
    ruling: ruling.kind === 'answer' ? { ...ruling, answer: withTrace(ruling.answer, trace) } : ruling,
    facts,
    trace,
    target,
    end(error) {
      if (ended) return;
      ended = true;
      if (whenSent) whenSent(leave);
      else leave();
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
  { method, authority, version }: AskedRequest,
  path: string,
  query: string,
  header: HeaderLookup,
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

const maxRecordedLines = 8;
const maxRecordedLength = 256;

/** The lines that rules looked at, so that what was asked can be asked again of another policy. */
function toRecorded(names: readonly string[], header: HeaderLookup): HttpFacts['headers'] {
  let recorded: [string, readonly string[]][] | undefined;
  for (const name of names) {
    const lines = header(name);
    if (lines.length === 0) continue;
    const kept = lines.slice(0, maxRecordedLines).map((line) => line.slice(0, maxRecordedLength));
    (recorded ??= []).push([name, kept]);
  }
  return recorded;
}
