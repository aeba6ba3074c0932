import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Limits } from './exchange.ts';
import { isHttp2Preface, peek, tellsHttpVersion, tlsHandshake } from './first-bytes.ts';
import { findOriginalDestination } from './original-destination.ts';
import { standsForName } from './outside-names.ts';
import type { OutsideNames } from './outside-names.ts';

export interface OutsideListenerOptions {
  readonly limits: Limits;
  readonly names: OutsideNames;
  /** Addresses of the mesh that have no such port: nothing outside. */
  readonly isOfMesh: (ip: string) => boolean;
  readonly acceptHttp: (host: string, port: number, version: 'h2' | 'http/1.1', socket: Socket) => void;
  /** Everything that is no plain HTTP, and TLS among it. */
  readonly acceptTcp: (host: string, port: number, socket: Socket) => void;
}

export interface OutsideListener {
  /** On 127.0.0.1: what isn't of the mesh is redirected here. */
  readonly port: number;
  close(): void;
}

/** Takes the connections of the pod's apps that no Service is meant by, and finds out where they wanted to go. */
export async function runOutsideListener(options: OutsideListenerOptions): Promise<OutsideListener> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    void accept(options, socket);
  });
  server.maxConnections = options.limits.connections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0, backlog: 511 }, () => resolve());
  });
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

/** Where the server speaks first: waiting for the client to do so would be waiting for nothing. */
const serverSpeaksFirst: ReadonlySet<number> = new Set([21, 22, 25, 110, 143, 587, 2525, 3306, 5900]);
/** A client that has said nothing by then waits for the server. */
const silence = 300;

async function accept(options: OutsideListenerOptions, socket: Socket): Promise<void> {
  const { names, isOfMesh, acceptHttp, acceptTcp } = options;
  const { remoteAddress: ip, remotePort: port } = socket;
  const place = ip === undefined || port === undefined ? undefined : await findOriginalDestination({ ip, port });
  if (socket.destroyed) return;
  const host = place && (standsForName(place.ip) ? names.nameOf(place.ip) : place.ip);
  if (!place || host === undefined || isOfMesh(place.ip)) {
    socket.resetAndDestroy();
    return;
  }
  if (serverSpeaksFirst.has(place.port)) {
    acceptTcp(host, place.port, socket);
    return;
  }
  peek(socket, silence, tellsProtocol, (bytes) => {
    if (socket.destroyed) return;
    if (bytes && isHttp2Preface(bytes)) acceptHttp(host, place.port, 'h2', socket);
    else if (bytes && isHttp1(bytes)) acceptHttp(host, place.port, 'http/1.1', socket);
    else acceptTcp(host, place.port, socket);
  });
}

const longestRequestLine = 16_384;

/** Enough to tell HTTP from all else: what begins like a request must have a whole request line. */
function tellsProtocol(bytes: Buffer): boolean {
  if (bytes[0] === tlsHandshake || bytes.length > longestRequestLine) return true;
  if (!tellsHttpVersion(bytes)) return false;
  return isHttp2Preface(bytes) || bytes.includes(10) || !mayBeRequestLine.test(bytes.toString('latin1', 0, 32));
}

const mayBeRequestLine = /^[A-Z]{1,16}(?: (?:[/*hH].*)?)?$/s;

function isHttp1(bytes: Buffer): boolean {
  const end = bytes.indexOf(10);
  return end !== -1 && /^[A-Z]{3,16} [^ ]+ HTTP\/1\.[01]\r?$/.test(bytes.toString('latin1', 0, end));
}
