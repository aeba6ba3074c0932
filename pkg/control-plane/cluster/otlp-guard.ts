import type { IncomingMessage, RequestListener } from 'node:http';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import { podOf, type Span, textOf } from '../../observability/span.ts';
import { type ServiceIdentity, toServiceAccount } from '../../policy/identity.ts';
import type { Authentication } from '../../xds/ads-server.ts';
import type { AuthenticatePod } from './authenticate-pod.ts';
import { relayHeader } from './span-relay.ts';

/** Whose requests these are, for what can be told of a span only when the body has been read. */
export interface SpanReporters {
  readonly note: (request: IncomingMessage, reporter: Reporter) => void;
  /**
   * What a sidecar tells of a call, it tells as one end of it: of others it knows nothing. Suggested policy is made of
   * this, so that no pod may tell of calls between others.
   */
  readonly mayReport: (span: Span, request: IncomingMessage) => boolean;
}

type Reporter = (Authentication & { readonly ok: true })['client'];

export function createSpanReporters(): SpanReporters {
  const reporters = new WeakMap<IncomingMessage, Reporter>();
  return {
    note: (request, reporter) => void reporters.set(request, reporter),
    mayReport(span, request) {
      const direction = textOf(span.attributes, 'tulle.direction');
      if (direction === undefined) return true;
      const reporter = reporters.get(request);
      if (!reporter) return false;
      const end = direction === 'inbound' ? 'tulle.destination' : 'tulle.source';
      const account = textOf(span.attributes, end);
      const own = toServiceAccount(reporter.identity);
      if (account !== undefined && account !== `${own?.namespace}/${own?.name}`) return false;
      return reporter.pod === undefined || (podOf(span.resource) ?? reporter.pod) === reporter.pod;
    },
  };
}

export interface OtlpGuardOptions {
  readonly app: RequestListener;
  /** Takes what replicas hand on to each other; absent: nobody may. */
  readonly relayed?: { readonly app: RequestListener; readonly from: (identity: ServiceIdentity) => boolean };
  readonly authenticate: AuthenticatePod;
  readonly reporters: Pick<SpanReporters, 'note'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds. */
  readonly now: () => number;
}

/** The same reason is logged once in this time: an exporter sends every second. */
const quiet = 60_000;
const maxReasons = 1_000;

/** Lets through what comes with the token of a living pod, from its address; nothing of a body is read before. */
export function guardOtlp(options: OtlpGuardOptions): RequestListener {
  const { app, relayed, authenticate, reporters, log, metrics, now } = options;
  const refused = metrics.counter('tulle_otlp_refused_total', 'Exports of spans refused for their token');
  const told = new Map<string, number>();

  function tell(reason: string, peer: string): void {
    const key = `${reason} ${peer}`;
    if (now() - (told.get(key) ?? Number.NEGATIVE_INFINITY) < quiet) return;
    if (told.size >= maxReasons) told.clear();
    told.set(key, now());
    log.warn('spans refused', { reason, peer });
  }

  return (request, response) => {
    const peer = request.socket.remoteAddress ?? '';
    const { authorization = '' } = request.headers;
    const token = authorization.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : undefined;
    const refuse = (status: number, reason: string): void => {
      refused.inc();
      tell(reason, peer);
      response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' }).end(`${reason}\n`);
    };
    authenticate({ token, peer }).then(
      (answer) => {
        if (!answer.ok) return refuse(401, answer.reason);
        if (request.headers[relayHeader] === undefined) {
          reporters.note(request, answer.client);
          return app(request, response);
        }
        // It comes from an address of the pod that its token is bound to: from one of ours.
        if (relayed?.from(answer.client.identity)) return relayed.app(request, response);
        return refuse(403, 'only replicas of the control plane hand spans on');
      },
      () => refuse(503, 'the token could not be checked'),
    );
  };
}
