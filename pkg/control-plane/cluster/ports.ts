import { createServer, type RequestListener } from 'node:http';
import type { ControlPlane } from '../control-plane.ts';
import type { Authenticate } from '../../xds/ads-server.ts';
import { closeServer, listenAt } from './tls-listener.ts';

/** Serves plain HTTP: on all addresses for probes, on the loopback for what a port-forward leads to. */
export async function listenPlain(
  app: RequestListener,
  port: number,
  at: 'everywhere' | 'loopback',
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const server = createServer(app);
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
