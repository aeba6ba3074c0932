import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { numberSetting, say } from './settings.ts';

export type Counters = Readonly<Record<string, number>>;
export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** What the page of an app shows: its name, and its numbers by the names that `/raw` has. */
export interface WebApp {
  readonly title: string;
  counters(): Counters;
  reset(): void;
  /** By method and path: `GET /buy-a-book/new`. */
  readonly routes?: Readonly<Record<string, Handler>>;
}

/** Serves `/` (a page), `/raw`, `/reset`, the probes, and the app's own routes; ends on SIGTERM when what runs is answered. */
export function serve(app: WebApp): void {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    request.resume();
    const handler = app.routes?.[`${request.method} ${path}`] ?? common(app, path);
    if (!handler) return answer(response, 404, 'not found\n');
    void Promise.resolve(handler(request, response)).catch((error: Error) =>
      answer(response, 500, `${error.message}\n`),
    );
  });
  const port = numberSetting('PORT', 14001);
  server.listen(port, () => say(`${app.title} listens on port ${port}`));
  process.once('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

function common(app: WebApp, path: string): Handler | undefined {
  switch (path) {
    case '/':
      return (_, response) => answer(response, 200, page(app), 'text/html; charset=utf-8');
    case '/raw':
      return (_, response) => answer(response, 200, JSON.stringify(app.counters()), 'application/json');
    case '/reset':
      return (_, response) => {
        app.reset();
        answer(response, 200, 'reset\n');
      };
    case '/liveness':
    case '/readiness':
    case '/startup':
      return (_, response) => answer(response, 200, 'OK\n');
    default:
      return undefined;
  }
}

export function answer(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.statusCode = status;
  response.setHeader('content-type', type);
  response.end(body);
}

function page(app: WebApp): string {
  const items = Object.entries(app.counters()).map(
    ([name, value]) => `<li>${words(name)}: <strong>${value}</strong></li>`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="1.5"><title>${app.title}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1.25rem/1.6 system-ui, sans-serif; margin: 0; }
  h1 { background: #3b4f8f; color: #fff; margin: 0; padding: .6em 1em; font-size: 1.5rem; }
  ul { list-style: none; padding: 1em; margin: 0; }
</style>
<h1>${app.title}</h1><ul>${items.join('')}</ul></html>
`;
}

/** `booksBoughtV1` as people write it: `Books bought V1`. */
function words(name: string): string {
  const spaced = name.replaceAll(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`);
  return spaced.charAt(0).toUpperCase() + spaced.slice(1).replace(/ v(\d)/, ' V$1');
}
