import { constants } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { rm } from 'node:fs/promises';
import { type InboundPort, isEnforced, type PolicyMode } from '../policy/inbound.ts';
import type { HttpSite } from './exchange.ts';
import { isHttp2Preface, peek, tellsHttpVersion, tlsHandshake } from './first-bytes.ts';
import type { HttpFrontend } from './http-frontend.ts';
import { decodeIdentity, toForwardedCert } from './peer-identity.ts';
import type { Peer } from './peer-identity.ts';
import { ruleInbound } from './rule-inbound.ts';
import type { InboundRules } from './rule-inbound.ts';
import type { Secrets, TlsMaterial } from './secrets.ts';
import { forwardTcp } from './tcp-forward.ts';
import type { TcpSite } from './tcp-forward.ts';

/** Where the socket of a workload port is: a path for a unix socket. */
export type InboundAddress = (port: number) => string;

export interface InboundOptions {
  readonly rules: InboundRules;
  readonly secrets: Secrets;
  readonly frontend: HttpFrontend;
  readonly tcp: TcpSite;
  readonly address: InboundAddress;
  /** A site for one workload port. */
  readonly site: (port: number) => HttpSite;
  readonly onError: (port: number, error: Error) => void;
}

/** The sockets on which other sidecars reach this workload, one for each of its ports. */
export interface InboundServer {
  /** Opens and closes sockets so that they are the policy's ports. Resolves when all of them listen. */
  sync(ports: readonly InboundPort[]): Promise<void>;
  /** Stops accepting; connections go on. */
  stop(): void;
}

/** A client that speaks first does so at once; in permissive mode one that stays silent so long is a plaintext one. */
const silenceMillis = 300;

interface PortServer {
  readonly server: Server;
  readonly listening: Promise<void>;
  protocol: InboundPort['protocol'];
}

export function createInboundServer(options: InboundOptions): InboundServer {
  const { secrets, address, onError } = options;
  const open = new Map<number, PortServer>();
  let stopped = false;

  function start({ port, protocol }: InboundPort): PortServer {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const entry: PortServer = {
      server,
      protocol,
      listening: listen(server, address(port)),
    };
    const tls = {
      http: createTls(options, port, true),
      tcp: createTls(options, port, false),
    };
    const update = (material: TlsMaterial): void => {
      tls.http.setSecureContext(material.serverOptions);
      tls.tcp.setSecureContext(material.serverOptions);
    };
    if (secrets.material) update(secrets.material);
    server.once('close', secrets.subscribe(update));
    server.maxConnections = options.site(port).limits.connections;
    server.on('connection', (socket) => {
      const http = entry.protocol === 'http' || entry.protocol === 'grpc';
      acceptInbound(options, port, entry.protocol, socket, http ? tls.http : tls.tcp);
    });
    entry.listening.catch((error: Error) => onError(port, error));
    return entry;
  }

  return {
    async sync(ports) {
      if (stopped) return;
      const wanted = new Map(ports.map((port) => [port.port, port]));
      for (const [port, { server }] of open) {
        if (wanted.has(port)) continue;
        open.delete(port);
        server.close();
      }
      for (const [port, wish] of wanted) {
        const entry = open.get(port);
        if (entry) entry.protocol = wish.protocol;
        else open.set(port, start(wish));
      }
      await Promise.allSettled([...open.values()].map(({ listening }) => listening));
    },
    stop() {
      stopped = true;
      for (const { server } of open.values()) server.close();
      open.clear();
    },
  };
}

async function listen(server: Server, path: string): Promise<void> {
  // Left behind by a sidecar that was killed.
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Beyond its backlog a unix socket refuses, where TCP would wait: many clients may come at once.
    server.listen({ path, backlog: 4096 }, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
  });
}

/** A server that takes connections that others have accepted, and hands on those with a certificate of the mesh. */
function createTls(options: InboundOptions, port: number, http: boolean): TlsServer {
  const server = createTlsServer({
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    requestCert: true,
    // No resumption: each connection shows its certificate anew.
    secureOptions: constants.SSL_OP_NO_TICKET,
    rejectUnauthorized: true,
    allowHalfOpen: true,
    handshakeTimeout: 10_000,
    ...(http ? { ALPNProtocols: ['h2', 'http/1.1'] } : {}),
  });
  server.on('secureConnection', (socket) => acceptTls(options, port, http, socket));
  server.on('tlsClientError', (_error, socket) => {
    options.tcp.recorder.refused('inbound', 'handshake');
    socket.destroy();
  });
  return server;
}

function acceptInbound(
  options: InboundOptions,
  port: number,
  protocol: InboundPort['protocol'],
  socket: Socket,
  tls: TlsServer,
): void {
  const { rules, secrets, site } = options;
  socket.on('error', () => undefined);
  const mode: PolicyMode = rules.store.inbound?.mode ?? 'enforce';
  const secure = (): void => {
    if (secrets.material) tls.emit('connection', socket);
    else socket.destroy();
  };
  // The server speaks first: there is nothing to look at, and nothing may be said before it is known to whom.
  if (protocol === 'tcp-server-first' && isEnforced({ mode })) {
    secure();
    return;
  }
  const http = protocol === 'http' || protocol === 'grpc';
  const patience = protocol === 'tcp-server-first' ? silenceMillis : site(port).limits.headers;
  peek(
    socket,
    patience,
    (bytes) => bytes[0] === tlsHandshake || !http || tellsHttpVersion(bytes),
    (bytes) => {
      if (socket.destroyed) return;
      if (bytes?.[0] === tlsHandshake) secure();
      else if (bytes === undefined && protocol !== 'tcp-server-first') socket.destroy();
      else acceptPlaintext(options, port, protocol, socket, bytes);
    },
  );
}

/** Without a certificate: nobody, and what that is allowed is the policy's to say (DECISIONS S11). */
function acceptPlaintext(
  { rules, frontend, tcp, site }: InboundOptions,
  port: number,
  protocol: InboundPort['protocol'],
  socket: Socket,
  bytes: Buffer | undefined,
): void {
  const peer: Peer = {};
  if (protocol === 'http' || protocol === 'grpc') {
    frontend.accept(socket, bytes && isHttp2Preface(bytes) ? 'h2' : 'http/1.1', site(port), peer);
    return;
  }
  void forwardTcp(tcp, socket, ruleInbound(rules, port, peer));
}

function acceptTls(options: InboundOptions, port: number, http: boolean, socket: TLSSocket): void {
  const { rules, secrets, frontend, tcp, site } = options;
  socket.on('error', () => undefined);
  socket.setNoDelay(true);
  const certificate = socket.getPeerX509Certificate();
  const identity = decodeIdentity(certificate?.subjectAltName);
  if (!certificate || identity === undefined) {
    tcp.recorder.refused('inbound', 'identity');
    socket.destroy();
    return;
  }
  const peer: Peer = {
    identity,
    forwardedCert: toForwardedCert(secrets.material?.identity ?? '', identity, certificate),
  };
  if (http) frontend.accept(socket, socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1', site(port), peer);
  else void forwardTcp(tcp, socket, ruleInbound(rules, port, peer));
}
