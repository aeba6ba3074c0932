import { mask, field } from '../../../pkg/http1/field-names.ts';
import type { HeadEdits } from '../../../pkg/http1/forward-head.ts';
import type { RequestHead } from '../../../pkg/http1/head.ts';
import type { Failure, Forward, Handler, LocalReply } from '../../../pkg/http1/proxy/handler.ts';
import { normalizePath } from '../../../pkg/policy/normalize-path.ts';
import { toBadRequest, toTimeout, toUnavailable } from '../../../pkg/sidecar/denial.ts';
import type { LocalAnswer } from '../../../pkg/sidecar/denial.ts';
import type { HttpSite } from '../../../pkg/sidecar/exchange.ts';
import type { Peer } from '../../../pkg/sidecar/peer-identity.ts';
import type { HttpFacts } from '../../../pkg/sidecar/recorder.ts';
import { decodeTrace } from '../../../pkg/sidecar/trace-context.ts';
import type { HopTrace } from '../../../pkg/sidecar/trace-context.ts';

/** Replaced by those of this hop. */
const traceFields = mask(
  field.traceparent,
  field.tracestate,
  field.b3,
  field.xB3TraceId,
  field.xB3SpanId,
  field.xB3ParentSpanId,
  field.xB3Sampled,
  field.xB3Flags,
);
/** Said by sidecars only (DECISIONS E12). */
const reserved = mask(field.xTulle, field.xEnvoy, field.xForwardedClientCert);
const requestDrop = traceFields | reserved | mask(field.proxyAuthorization, field.proxyAuthenticate);
const noTrace = {};
const fromApp: HeadEdits = { drop: reserved };
const fromPeer: HeadEdits = {};

/** All that a sidecar does with a request (`pkg/sidecar` on `HttpSite`), as the handler of a connection on the codec. */
export function toHandler(site: HttpSite, peer: Peer): Handler {
  const certLine =
    site.direction === 'inbound' && peer.forwardedCert !== undefined
      ? `x-forwarded-client-cert: ${peer.forwardedCert}\r\n`
      : '';
  const responseEdits = site.direction === 'inbound' ? fromApp : fromPeer;
  return {
    onRequest: (head) => begin(site, peer, head, certLine, responseEdits),
    onRefused: (reason, status) => toReply(toBadRequest(reason, status)),
    draining: () => site.draining(),
  };
}

function begin(
  site: HttpSite,
  peer: Peer,
  head: RequestHead,
  certLine: string,
  responseEdits: HeadEdits,
): Forward | LocalReply {
  const { recorder } = site;
  const { method, authority } = head;
  const startedAt = recorder.now();
  const leave = site.inFlight.enter();
  const header = (name: string): readonly string[] => (name === 'host' ? [authority] : head.forwardedLines(name));
  const trace = recorder.trace((head.mask & traceFields) === 0 ? noTrace : decodeTrace((name) => head.lines(name)));
  const normal = normalizePath(head.path);
  const target = normal.ok ? normal.path + normal.query : head.path;
  const facts: HttpFacts = {
    method,
    path: normal.ok ? normal.path : head.path,
    query: normal.ok ? normal.query.slice(1) : '',
    authority,
    version: head.minor === 1 ? '1.1' : '1.0',
    ...(head.has(field.userAgent) ? { userAgent: head.first(field.userAgent)! } : {}),
    status: 0,
  };
  const end = (call: Parameters<typeof recorder.end>[0]['call'], error?: string): void => {
    leave();
    recorder.end({
      call,
      trace,
      startedAt,
      http: facts,
      ...(error === undefined ? {} : { error }),
    });
  };
  if (!normal.ok) {
    facts.status = 400;
    end({ ...site.blank(), reason: 'BadRequest' });
    return toReply(toBadRequest(`path refused: ${normal.reason}`));
  }
  const ruling = site.rule({ method, path: target, authority, header }, peer);
  if (ruling.kind === 'answer') {
    facts.status = ruling.answer.status;
    end(ruling.call);
    return toReply(ruling.answer);
  }
  return {
    kind: 'forward',
    edits: {
      path: target,
      drop: requestDrop,
      add: toTraceLines(trace) + certLine,
    },
    next: () => ruling.next(),
    onResponse(response) {
      if (!response.interim) facts.status = response.status;
      return responseEdits;
    },
    onFailure: (failure) => toReply(toFailure(failure)),
    onEnd({ status, error }) {
      facts.status = status;
      end(ruling.call, error);
    },
  };
}

/** `toTraceHeaders` as text. */
function toTraceLines({ traceId, spanId, parentSpanId, sampled, debug, tracestate }: HopTrace): string {
  const state = tracestate === undefined ? '' : `tracestate: ${tracestate}\r\n`;
  const parent = parentSpanId === undefined || parentSpanId === spanId ? '' : `x-b3-parentspanid: ${parentSpanId}\r\n`;
  const decision = debug ? 'x-b3-flags: 1' : `x-b3-sampled: ${sampled ? '1' : '0'}`;
  const ids = `x-b3-traceid: ${traceId}\r\nx-b3-spanid: ${spanId}\r\n`;
  return `traceparent: 00-${traceId}-${spanId}-${sampled ? '01' : '00'}\r\n${state}${ids}${parent}${decision}\r\n`;
}

function toFailure(failure: Failure): LocalAnswer {
  if (failure === 'timeout') return toTimeout('the answer did not come in time');
  return toUnavailable(failure === 'noRoute' ? 'no ready endpoint' : failure);
}

function toReply({ status, reason, body, headers = [] }: LocalAnswer): LocalReply {
  let lines = `content-type: text/plain; charset=utf-8\r\nx-tulle-reason: ${reason}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) lines += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return { kind: 'reply', status, lines, body };
}
