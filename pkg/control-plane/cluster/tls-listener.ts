import type { IncomingMessage, RequestListener, Server as HttpServer, ServerResponse } from 'node:http';
import { createServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { LeafCertificates } from '../../certs/leaf-certificates.ts';
import { controllerName } from '../../certs/workload-names.ts';
import type { Logger } from '../../observability/logger.ts';
import { createConnectionGate } from '../../xds/connection-gate.ts';
import { createRefusalLog } from '../../xds/refusal-log.ts';

export interface TlsListener {
  readonly port: number;
  /** Ends what is idle, and all of it soon after. */
  readonly close: () => Promise<void>;
}

export interface TlsListenerOptions {
  readonly app: RequestListener;
  readonly port: number;
  readonly leaves: LeafCertificates;
  readonly limits: TlsLimits;
  readonly log: Logger;
}

/**
 * How many connections there may be without a request under way. Where there are too many, the oldest of the address that
 * has the most makes room. With requests there may be twice as many.
 */
export interface TlsLimits {
  readonly connections: number;
  /** From one address, unless it is this machine's own. */
  readonly perAddress: number;
}

/** The chart gives the controller 512 MiB, and a connection takes some 50 KiB. An API server asks for many pods at once. */
export const webhookLimits: TlsLimits = { connections: 1_000, perAddress: 500 };
/** Sidecars keep one each; a node that masquerades has those of a hundred pods. */
export const otlpLimits: TlsLimits = { connections: 4_000, perAddress: 250 };

const grace = 1_000;

/** HTTPS on all addresses with the control plane's own certificate, TLS 1.3; the certificate is exchanged live. */
export async function listenTls({ app, port, leaves, limits, log }: TlsListenerOptions): Promise<TlsListener> {
  const server = createServer({ ...toContext(leaves), handshakeTimeout: 10_000 }, app);
  server.requestTimeout = 30_000;
  server.headersTimeout = 10_000;
  const refusals = boundConnections(server, limits, log);
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
      refusals.close();
      return closeServer(server);
    },
  };
}

/** Counts connections before TLS has cost anything. */
function boundConnections(server: HttpsServer, limits: TlsLimits, log: Logger): { close(): void } {
  const refusals = createRefusalLog({ log });
  const gate = createConnectionGate({
    limits: {
      connections: 2 * limits.connections,
      strangers: limits.connections,
      strangersPerAddress: limits.perAddress,
      // HTTP has deadlines of its own.
      firstStream: Number.POSITIVE_INFINITY,
    },
    onRefused: ({ reason, address }) => refusals.tell({ message: 'HTTPS connection closed', reason, from: address }),
  });
  // Whose request is being answered is not the one that makes room: the API server has many, and no name.
  server.prependListener(
    'request',
    ({ socket: { remoteAddress, remotePort } }: IncomingMessage, response: ServerResponse) => {
      const pass = gate.enter(`${remoteAddress}:${remotePort}`);
      pass.known();
      response.once('close', () => pass.left());
    },
  );
  const handshakes = server.listeners('connection') as ((this: HttpsServer, socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (gate.take(socket)) for (const handshake of handshakes) handshake.call(server, socket);
  });
  return refusals;
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
