import type { NextFunction, Request, Response } from 'express';

const loopbackNames: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Only what the page itself loads: no other host, no inline script. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Answers a browser only when it was asked by the name of this machine, and by nothing but our own page (DECISIONS L2):
 * a foreign page can neither rebind its name to 127.0.0.1 nor read or post here. Programs send no Origin and pass.
 */
export function guardLoopback(request: Request, response: Response, next: NextFunction): void {
  response.set({
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  });
  const host = request.headers.host ?? '';
  const { origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const refused = !loopbackNames.has(hostnameOf(host) ?? '')
    ? `this address does not answer to the name "${host.slice(0, 100)}"`
    : origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`
      ? 'another page may not ask here'
      : (site === 'cross-site' || site === 'same-site') && request.headers['sec-fetch-mode'] !== 'navigate'
        ? 'another page may not ask here'
        : undefined;
  if (refused === undefined) next();
  else response.status(403).type('text/plain').send(`${refused}\n`);
}

/** The name in a Host header, without its port; undefined when it is none. */
function hostnameOf(host: string): string | undefined {
  return /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?$/.exec(host)?.[1]?.toLowerCase();
}
