import type { RequestListener, Server as HttpServer } from 'node:http';
import { createServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { LeafCertificates } from '../../certs/leaf-certificates.ts';
import { controllerName } from '../../certs/workload-names.ts';

export interface TlsListener {
  readonly port: number;
  /** Ends what is idle, and all of it soon after. */
  readonly close: () => Promise<void>;
}

const grace = 1_000;

/** HTTPS on all addresses with the control plane's own certificate, TLS 1.3; the certificate is exchanged live. */
export async function listenTls(app: RequestListener, port: number, leaves: LeafCertificates): Promise<TlsListener> {
  const server = createServer({ ...toContext(leaves), handshakeTimeout: 10_000 }, app);
  server.requestTimeout = 30_000;
  server.headersTimeout = 10_000;
  server.maxConnections = 20_000;
  const unsubscribe = leaves.subscribe((owner) => {
    if (owner === controllerName) server.setSecureContext(toContext(leaves));
  });
  // A handshake that fails is the client's affair: a scanner, or one that does not trust us yet.
  server.on('tlsClientError', () => undefined);
  const address = await listenAt(server, port);
  return {
    port: address.port,
    close() {
      unsubscribe();
      return closeServer(server);
    },
  };
}

/** Ends a server within a second or so. */
export function closeServer(server: HttpServer | HttpsServer): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), grace);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** On one address, or on `::`, which takes IPv4 as well; on machines without IPv6 Node listens on 0.0.0.0 by itself. */
export async function listenAt(server: HttpServer | HttpsServer, port: number, host?: string): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return server.address() as AddressInfo;
}

function toContext(leaves: LeafCertificates): { cert: string; key: string; minVersion: 'TLSv1.3' } {
  const { certificate, privateKey } = leaves.of(controllerName);
  return { cert: certificate, key: privateKey, minVersion: 'TLSv1.3' };
}
