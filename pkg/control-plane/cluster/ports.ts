import { createServer, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import type { ControlPlane } from '../control-plane.ts';
import type { Authenticate } from '../../xds/ads-server.ts';
import { closeServer, listenAt } from './tls-listener.ts';

/** Probes and scrapes are a handful, and say little; a browser has six connections to a page. */
const most = { connections: 200, headersMs: 5_000 };

/**
 * Serves plain HTTP: on all addresses for probes, on the loopback for what a port-forward leads to. Anybody reaches the
 * former, so what is begun and not finished is bounded. The oldest connection makes room for the newest: who holds all of
 * them would otherwise keep the kubelet out, which then restarts the control plane.
 */
export async function listenPlain(
  app: RequestListener,
  port: number,
  at: 'everywhere' | 'loopback',
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const server = createServer(
    { maxHeaderSize: at === 'loopback' ? 16_384 : 4_096, connectionsCheckingInterval: 1_000 },
    app,
  );
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const [oldest] = open;
    if (open.size > most.connections) oldest?.destroy();
  });
  server.headersTimeout = most.headersMs;
  server.requestTimeout = 60_000;
  const address = await listenAt(server, port, at === 'loopback' ? '127.0.0.1' : undefined);
  return { port: address.port, close: () => closeServer(server) };
}

/** xDS on `::`, which takes IPv4 as well; on 0.0.0.0 where the kernel has no IPv6. */
export async function listenXds(controlPlane: ControlPlane, port: number, authenticate: Authenticate): Promise<number> {
  try {
    return await controlPlane.listen(`[::]:${port}`, authenticate, 'tls');
  } catch (error) {
    if (!/EAFNOSUPPORT|EADDRNOTAVAIL/.test(String(error))) throw error;
    return controlPlane.listen(`0.0.0.0:${port}`, authenticate, 'tls');
  }
}
