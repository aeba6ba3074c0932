import type { Request, Response } from 'express';

/** What changed: the state of the mesh, or its traffic. */
export type ChangePart = 'mesh' | 'traffic';

export interface ChangeStream {
  notify(part: ChangePart): void;
  /** Answers `GET /api/events` with server-sent events, until either side closes. */
  serve(request: Request, response: Response): void;
}

const maxClients = 64;
/** Traffic changes with every request: browsers are told no more often than this. */
const trafficPauseMs = 500;
/** What one push changes comes within this. */
const meshPauseMs = 20;
/** Through a rollout the mesh changes all the time: browsers are told of it no more often than this. */
const meshPeriodMs = 100;
const keepAliveMs = 15_000;

/** Tells browsers that something changed; they ask for what they show. A slow one is skipped, never queued for. */
export function createChangeStream(signal: AbortSignal): ChangeStream {
  const clients = new Set<Response>();
  const changed = new Set<ChangePart>();
  let timer: NodeJS.Timeout | undefined;
  /** When the timer fires. It is only ever brought forward: changes that don't stop must not keep it from firing. */
  let due = Number.POSITIVE_INFINITY;
  let flushed = Number.NEGATIVE_INFINITY;

  function flushAt(time: number, now: number): void {
    if (time >= due) return;
    clearTimeout(timer);
    due = time;
    timer = setTimeout(flush, time - now);
  }

  function flush(): void {
    due = Number.POSITIVE_INFINITY;
    flushed = performance.now();
    const data = `event: change\ndata: ${JSON.stringify({ parts: [...changed] })}\n\n`;
    changed.clear();
    for (const client of clients) if (!client.writableNeedDrain) client.write(data);
  }

  const keepAlive = setInterval(() => {
    for (const client of clients) if (!client.writableNeedDrain) client.write(':\n\n');
  }, keepAliveMs);
  keepAlive.unref();
  signal.addEventListener('abort', () => {
    clearInterval(keepAlive);
    clearTimeout(timer);
    for (const client of clients) client.end();
  });

  return {
    notify(part) {
      if (clients.size === 0 || signal.aborted) return;
      changed.add(part);
      const now = performance.now();
      flushAt(part === 'mesh' ? Math.max(now + meshPauseMs, flushed + meshPeriodMs) : now + trafficPauseMs, now);
    },
    serve(request, response) {
      if (clients.size >= maxClients) {
        response.status(503).type('text/plain').send('too many pages are open\n');
        return;
      }
      response.set({
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
      });
      response.flushHeaders();
      response.write('retry: 1000\n\n');
      clients.add(response);
      request.on('close', () => {
        clients.delete(response);
        response.end();
      });
    },
  };
}
