import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LocalAnswer } from './denial.ts';
import type { Exchange } from './exchange.ts';
import { linesOf } from './headers.ts';

/** A client that goes on sending after its answer is complete is listened to for so long. */
const lingerMillis = 2_000;

/** Gives an answer of our own. A request whose body was not read ends its connection. */
export function answerHttp1(exchange: Exchange, req: IncomingMessage, res: ServerResponse, answer: LocalAnswer): void {
  exchange.facts.status = answer.status;
  const body = Buffer.from(answer.body, 'utf8');
  const headers = [
    'content-type',
    'text/plain; charset=utf-8',
    'content-length',
    String(body.length),
    'x-tulle-reason',
    answer.reason,
    ...(answer.headers ?? []),
  ];
  // What is behind a request that can't be read is nobody's to guess.
  if (answer.reason === 'BadRequest' || expectsContinue(req)) res.shouldKeepAlive = false;
  res.once('close', () => exchange.end());
  res.writeHead(answer.status, headers);
  res.end(req.method === 'HEAD' ? undefined : body);
  lingerForRest(req, res);
}

function expectsContinue(req: IncomingMessage): boolean {
  return linesOf(req.rawHeaders, 'expect').length > 0;
}

/** An answer that came before the end of its request: what still comes is thrown away, for a while. */
export function lingerForRest(req: IncomingMessage, res: ServerResponse): void {
  res.once('finish', () => {
    if (req.complete) return;
    req.unpipe();
    req.resume();
    const timer = setTimeout(() => req.destroy(), lingerMillis);
    req.once('close', () => clearTimeout(timer));
    req.once('end', () => clearTimeout(timer));
  });
}
