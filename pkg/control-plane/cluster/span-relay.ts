import { Agent, request } from 'node:https';
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

interface Export {
  readonly body: Buffer;
  readonly contentType: string;
}

/** The way to one replica: one connection, one request at a time. */
interface Line {
  readonly to: Replica;
  readonly agent: Agent;
  readonly queue: Export[];
  bytes: number;
  sending: boolean;
  closed: boolean;
}

/** What waits for one replica; an export has 4 MiB at most. */
const maxBytes = 4 * 1024 * 1024;
const maxWaiting = 2_000;
/** What waits is sent as one request up to this size: one message after the other is one message in protobuf. */
const joined = 1024 * 1024;
const joinable = 'application/x-protobuf';
const timeoutMs = 5_000;
/** The same replica is complained of once in this time. */
const quiet = 60_000;

export function createSpanRelay(options: SpanRelayOptions): SpanRelay {
  const { replicas, metrics, log, signal, now } = options;
  const relayed = metrics.counter('tulle_otlp_relayed_total', 'Exports of spans that other replicas took');
  const lost = metrics.counter('tulle_otlp_relay_lost_total', 'Exports of spans that another replica did not get', [
    'reason',
  ]);
  const lines = new Map<string, Line>();
  const told = new Map<string, number>();

  function lose({ to }: Line, count: number, reason: 'busy' | 'failed', why: string): void {
    if (signal.aborted || count === 0) return;
    lost.inc({ reason }, count);
    if (now() - (told.get(to.name) ?? Number.NEGATIVE_INFINITY) < quiet) return;
    told.set(to.name, now());
    log.warn('spans could not be handed on to another replica', { replica: to.name, reason: why });
  }

  function close(key: string, line: Line): void {
    line.closed = true;
    line.queue.length = 0;
    line.agent.destroy();
    lines.delete(key);
    told.delete(line.to.name);
  }

  /** Lines to all that are there now, and to nobody else. */
  function toLines(others: readonly Replica[]): readonly Line[] {
    const current = others.map((to) => [`${to.name} ${to.address} ${to.port}`, to] as const);
    const keys = new Set<string>(current.map(([key]) => key));
    for (const [key, line] of lines) if (!keys.has(key)) close(key, line);
    return current.map(([key, to]) => {
      const known = lines.get(key);
      if (known) return known;
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const line: Line = { to, agent, queue: [], bytes: 0, sending: false, closed: false };
      lines.set(key, line);
      return line;
    });
  }

  async function drain(line: Line): Promise<void> {
    line.sending = true;
    // What comes in one turn of the event loop goes together, and the sidecar's answer goes first.
    await new Promise((resolve) => setImmediate(resolve));
    while (line.queue.length > 0) {
      const { count, content } = take(line);
      const failure = await deliver(line, content);
      if (line.closed || signal.aborted) break;
      if (failure === undefined) relayed.inc({}, count);
      else lose(line, count, 'failed', failure);
    }
    line.sending = false;
  }

  /** Undefined when it was taken, else why not. One more try: a connection may end just when it is used again. */
  async function deliver(line: Line, content: Export): Promise<string | undefined> {
    let failure = '';
    for (let tries = 0; tries < 2 && !line.closed && !signal.aborted; tries++) {
      try {
        const status = await post(line, content, options);
        if (status === 200) return undefined;
        failure = `it answered ${status}`;
        if (status === 401) replicas.renew();
        if (status < 500) break;
      } catch (error) {
        failure = (error as Error).message;
      }
    }
    return failure;
  }

  signal.addEventListener('abort', () => lines.forEach((line, key) => close(key, line)), { once: true });

  return {
    send(body, contentType) {
      const others = replicas.others();
      if (signal.aborted || (others.length === 0 && lines.size === 0)) return;
      for (const line of toLines(others)) {
        line.queue.push({ body, contentType });
        line.bytes += body.length;
        let dropped = 0;
        while (line.queue.length > 1 && (line.bytes > maxBytes || line.queue.length > maxWaiting)) {
          line.bytes -= line.queue.shift()?.body.length ?? 0;
          dropped += 1;
        }
        lose(line, dropped, 'busy', 'more comes than it takes');
        if (!line.sending) void drain(line);
      }
    },
  };
}

/** The oldest that waits, with those after it that can go in the same request. */
function take(line: Line): { readonly count: number; readonly content: Export } {
  const { queue } = line;
  const { contentType = joinable } = queue[0] ?? {};
  let count = 0;
  let size = 0;
  for (const { body, contentType: type } of queue) {
    const fits = count === 0 || (contentType === joinable && type === joinable && size + body.length <= joined);
    if (!fits) break;
    count += 1;
    size += body.length;
  }
  const bodies = queue.splice(0, count).map(({ body }) => body);
  line.bytes -= size;
  const [only] = bodies;
  return { count, content: { body: only && count === 1 ? only : Buffer.concat(bodies, size), contentType } };
}

/** Gives the status of the answer. */
function post(
  { to, agent }: Line,
  { body, contentType }: Export,
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
