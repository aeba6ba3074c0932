import { connect as connectSocket } from 'node:net';
import type { OnReadOpts, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { Endpoint } from '../policy/endpoints.ts';
import type { Intake } from './intake.ts';
import { decodeIdentity } from './peer-identity.ts';
import type { TlsMaterial } from './secrets.ts';

/** What a connection will carry. `tcp` asks for no ALPN. */
export type WireProtocol = 'h2' | 'http/1.1' | 'tcp';

/** One place to connect to: an endpoint's sidecar, the own app, or a host outside of the mesh. */
export interface Upstream {
  /** Equal keys share connections. */
  readonly key: string;
  /** A sidecar: one may ask it over HTTP/2 whether it is there. An app may take that amiss. */
  readonly isSidecar?: true;
  /**
   * Resolves once the peer is who it must be; rejects within `connectTimeout`. What it reads may go to the intake: it says so
   * itself, and the socket emits no `data` then.
   */
  connect(protocol: WireProtocol, intake?: Intake): Promise<Socket>;
}

/** Envoy's default for a cluster. */
export const connectTimeout = 5_000;

const keepAliveDelay = 60_000;

/** The ways to endpoints, each made once: what shares connections is asked for with every request. */
export type EndpointUpstreams = (endpoint: Endpoint, key: string, servername: string) => Upstream;

export function createEndpointUpstreams(material: () => TlsMaterial | undefined): EndpointUpstreams {
  const known = new WeakMap<Endpoint, { readonly servername: string; readonly upstream: Upstream }>();
  return (endpoint, key, servername) => {
    const found = known.get(endpoint);
    // Several Services may lead to one endpoint.
    if (found?.servername === servername) return found.upstream;
    const upstream = toEndpointUpstream(endpoint, key, servername, material);
    known.set(endpoint, { servername, upstream });
    return upstream;
  };
}

/** A connection in plaintext: to the own app, to an endpoint without a sidecar, or out of the mesh. */
export function toPlainUpstream(host: string, port: number): Upstream {
  return {
    key: `${host}:${port}`,
    connect: (protocol, intake) =>
      ready(
        connectSocket({
          host,
          port,
          allowHalfOpen: isHalfOpen(protocol),
          noDelay: true,
          ...toOnRead(intake),
        }),
        'connect',
      ),
  };
}

/**
 * A connection to an endpoint of the mesh: mutual TLS 1.3, and the peer's certificate must say `endpoint.identity`.
 * `servername` is for the peer's logs and for routing by SNI; nothing is trusted because of it.
 */
export function toEndpointUpstream(
  endpoint: Endpoint,
  key: string,
  servername: string,
  material: () => TlsMaterial | undefined,
): Upstream {
  const { address, identity, meshed } = endpoint;
  if (!meshed) {
    if (address.kind === 'ip') return { ...toPlainUpstream(address.ip, address.port), key };
    const { path } = address;
    return {
      key,
      connect: (protocol, intake) =>
        ready(connectSocket({ path, allowHalfOpen: isHalfOpen(protocol), ...toOnRead(intake) }), 'connect'),
    };
  }
  return {
    key,
    isSidecar: true,
    connect(protocol, intake) {
      const tls = material();
      if (!tls) return Promise.reject(new Error('no certificate from the control plane yet'));
      const options: ConnectionOptions & { allowHalfOpen: boolean; onread?: OnReadOpts } = {
        ...(address.kind === 'pipe' ? { path: address.path } : { host: address.ip, port: address.port }),
        secureContext: tls.clientContext,
        servername,
        minVersion: 'TLSv1.3',
        maxVersion: 'TLSv1.3',
        rejectUnauthorized: true,
        // Missing in the types, both.
        allowHalfOpen: isHalfOpen(protocol),
        ...toOnRead(intake),
        ...(protocol === 'tcp' ? {} : { ALPNProtocols: [protocol] }),
        checkServerIdentity: (_host, certificate) => {
          const peer = decodeIdentity(certificate.subjectaltname);
          return peer === identity ? undefined : new Error(`peer is ${peer ?? 'nobody'}, wanted ${identity}`);
        },
      };
      const socket = connectTls(options);
      return ready(socket, 'secureConnect').then((connected) => {
        if (protocol !== 'h2' || socket.alpnProtocol === 'h2') return connected;
        socket.destroy();
        throw new Error('peer does not speak HTTP/2');
      });
    },
  };
}

/** Node's HTTP/2 wants a connection to go at once when its server closes it; others see to that themselves. */
export function isHalfOpen(protocol: WireProtocol): boolean {
  return protocol !== 'h2';
}

function toOnRead(intake: Intake | undefined): { onread?: OnReadOpts } {
  return intake === undefined ? {} : { onread: intake.attach() };
}

function ready(socket: Socket, event: 'connect' | 'secureConnect'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error('connect timeout')), connectTimeout);
    const fail = (error?: Error): void => {
      clearTimeout(timer);
      reject(error ?? new Error('closed while connecting'));
    };
    const closed = (): void => fail();
    socket.once('error', fail);
    socket.once('close', closed);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off('error', fail);
      socket.off('close', closed);
      // TLS sockets pass these on to the socket below; unix sockets ignore them.
      socket.setNoDelay(true);
      socket.setKeepAlive(true, keepAliveDelay);
      resolve(socket);
    });
  });
}
