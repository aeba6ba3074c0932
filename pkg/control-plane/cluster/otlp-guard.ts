import type { RequestListener } from 'node:http';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { AuthenticatePod } from './authenticate-pod.ts';

export interface OtlpGuardOptions {
  readonly app: RequestListener;
  readonly authenticate: AuthenticatePod;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds. */
  readonly now: () => number;
}

/** The same reason is logged once in this time: an exporter sends every second. */
const quiet = 60_000;
const maxReasons = 1_000;

/** Lets through what comes with the token of a living pod, from its address; nothing of a body is read before. */
export function guardOtlp({ app, authenticate, log, metrics, now }: OtlpGuardOptions): RequestListener {
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
      (answer) => (answer.ok ? app(request, response) : refuse(401, answer.reason)),
      () => refuse(503, 'the token could not be checked'),
    );
  };
}
