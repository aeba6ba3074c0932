import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { readJsonLines, writeJsonLine } from './json-lines.ts';

/** What other commands ask of a running supervisor, one request per connection, over `supervisor.sock`. */
export type ControlRequest =
  | { readonly type: 'pods' }
  /** A place for one more program with the identity of `namespace/serviceaccount`, for as long as the connection is open. */
  | { readonly type: 'join'; readonly namespace: string; readonly serviceAccount: string };

export type ControlAnswer =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

export type ControlHandler = (request: ControlRequest, closed: AbortSignal) => Promise<unknown>;

export function runControlServer(path: string, handle: ControlHandler, signal: AbortSignal): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => serve(socket, handle));
  server.maxConnections = 64;
  signal.addEventListener('abort', () => server.close(), { once: true });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}

function serve(socket: Socket, handle: ControlHandler): void {
  const closed = new AbortController();
  socket.on('error', () => socket.destroy());
  socket.once('close', () => closed.abort());
  let asked = false;
  readJsonLines(socket, (message) => {
    if (asked) return;
    asked = true;
    void handle(message as ControlRequest, closed.signal).then(
      (value) => writeJsonLine(socket, { ok: true, value } satisfies ControlAnswer),
      (error: Error) => writeJsonLine(socket, { ok: false, message: error.message } satisfies ControlAnswer),
    );
  });
}
