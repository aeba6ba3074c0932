import { createServer, type Socket } from 'node:net';
import type { ControllerApi } from './controller-api.ts';
import { choosePort } from './laptop-mesh.ts';

/** The page of a control plane at a loopback port of this machine, until the signal. */
export async function forwardPage(
  api: Pick<ControllerApi, 'connect'>,
  wanted: number | undefined,
  signal: AbortSignal,
): Promise<string> {
  const port = await choosePort(wanted);
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    api.connect().then(
      (stream) => {
        if (socket.destroyed) {
          stream.destroy();
          return;
        }
        stream.once('close', () => socket.destroy());
        socket.once('close', () => stream.destroy());
        socket.pipe(stream).pipe(socket);
      },
      () => socket.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const close = (): void => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });
  return `http://127.0.0.1:${port}`;
}
