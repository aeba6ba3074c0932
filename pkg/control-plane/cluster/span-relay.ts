import { Agent, request } from 'node:https';
import { createExportQueue, type ExportQueue, type SpanExport } from '../../observability/export-queue.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Replica, Replicas } from './replicas.ts';

export interface SpanRelayOptions {
  readonly replicas: Pick<Replicas, 'others' | 'token' | 'renew'>;
  /** Roots of the control plane's certificates. */
  readonly roots: () => string;
  /** What the others' certificate must be for. */
  readonly serverName: string;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Milliseconds. */
  readonly now: () => number;
}

/** Hands exports of spans on to the other replicas, so that each has whole traces whoever was exported to. */
export interface SpanRelay {
  /** Takes one export that was decoded. Never waits; beyond the bound the oldest is dropped and counted. */
  send(body: Buffer, contentType: string): void;
}

/** On requests that came from a replica: those are not handed on again. */
export const relayHeader = 'tulle-relay';

/** The way to one replica, over one connection. */
interface Line {
  readonly queue: ExportQueue;
  readonly agent: Agent;
}

const timeoutMs = 5_000;

export function createSpanRelay(options: SpanRelayOptions): SpanRelay {
  const { replicas, metrics, log, signal, now } = options;
  const relayed = metrics.counter('tulle_otlp_relayed_total', 'Exports of spans that other replicas took');
  const lost = metrics.counter('tulle_otlp_relay_lost_total', 'Exports of spans that another replica did not get', [
    'reason',
  ]);
  const lines = new Map<string, Line>();

  function open(to: Replica): Line {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const queue = createExportQueue({
      async post(content) {
        const status = await post(to, agent, content, options);
        if (status === 401) replicas.renew();
        return status;
      },
      onSent: (count) => relayed.inc({}, count),
      onLost: (count, reason) => lost.inc({ reason }, count),
      onComplaint: (reason) =>
        log.warn('spans could not be handed on to another replica', { replica: to.name, reason }),
      now,
    });
    return { queue, agent };
  }

  function close(key: string, { queue, agent }: Line): void {
    queue.close();
    agent.destroy();
    lines.delete(key);
  }

  /** Lines to all that are there now, and to nobody else. */
  function toLines(others: readonly Replica[]): readonly Line[] {
    const current = others.map((to) => [`${to.name} ${to.address} ${to.port}`, to] as const);
    const keys = new Set<string>(current.map(([key]) => key));
    for (const [key, line] of lines) if (!keys.has(key)) close(key, line);
    return current.map(([key, to]) => {
      const line = lines.get(key) ?? open(to);
      lines.set(key, line);
      return line;
    });
  }

  signal.addEventListener('abort', () => lines.forEach((line, key) => close(key, line)), { once: true });

  return {
    send(body, contentType) {
      const others = replicas.others();
      if (signal.aborted || (others.length === 0 && lines.size === 0)) return;
      for (const { queue } of toLines(others)) queue.send({ body, contentType });
    },
  };
}

/** Gives the status of the answer. */
function post(
  to: Replica,
  agent: Agent,
  { body, contentType }: SpanExport,
  { replicas, roots, serverName }: SpanRelayOptions,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...{ agent, host: to.address, port: to.port, path: '/v1/traces', method: 'POST' },
        ...{ ca: roots(), servername: serverName, minVersion: 'TLSv1.3' },
        headers: {
          host: serverName,
          authorization: `Bearer ${replicas.token() ?? ''}`,
          'content-type': contentType,
          'content-length': body.length,
          [relayHeader]: '1',
        },
      },
      (answer) => {
        answer.on('error', reject).on('end', () => resolve(answer.statusCode ?? 0));
        answer.resume();
      },
    );
    const timer = setTimeout(() => call.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    call.on('error', reject).on('close', () => {
      clearTimeout(timer);
      reject(new Error('the connection was closed'));
    });
    call.end(body);
  });
}
