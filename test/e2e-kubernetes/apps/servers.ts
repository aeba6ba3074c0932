import {
  Server as GrpcServer,
  ServerCredentials,
  type UntypedHandleCall,
  type sendUnaryData,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Something that listens; `stop` ends it when what is under way is answered. */
export interface Listening {
  readonly spec: string;
  stop(): Promise<void>;
}

export interface ServerSettings {
  /** Who answers: goes out as `x-peer`. */
  readonly name: string;
  readonly tlsFolder: string | undefined;
  /** How long a server that ends still answers, and asks its clients to connect anew: what an app without a sidecar owes them. */
  readonly drainMs: number;
}

/** `http:8080`, `h2c:8081`, `grpc:8082`, `https:8443`, `tcp:9000`, `first:9001`; `http@pod:8080` listens on the pod's address alone. */
export function listen(spec: string, settings: ServerSettings): Promise<Listening> {
  const [protocolAndWhere = '', portText = ''] = spec.split(':');
  const [protocol, where] = protocolAndWhere.split('@');
  const port = Number(portText);
  const host = where === 'pod' ? podAddress() : where;
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  let isDraining = false;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    if (isDraining && request.httpVersion === '1.1') response.setHeader('connection', 'close');
    echo(request, response, settings, port);
  };

  if (protocol === 'grpc') return listenGrpc(spec, port, settings);
  const server = (() => {
    switch (protocol) {
      case 'http': {
        const http = createHttpServer(answer);
        http.keepAliveTimeout = 60_000;
        http.on('upgrade', (request, socket) => upgrade(request, socket as Socket, settings));
        return http;
      }
      case 'https': {
        const read = (file: string): string => readFileSync(`${settings.tlsFolder ?? '/tls'}/${file}`, 'utf8');
        return createHttpsServer({ cert: read('tls.crt'), key: read('tls.key') }, answer);
      }
      case 'h2c':
        return createHttp2Server((request, response) =>
          answer(request as unknown as IncomingMessage, response as unknown as ServerResponse),
        );
      case 'tcp':
        return createTcpServer((socket) => echoLines(socket, settings));
      case 'first':
        return createTcpServer((socket) => {
          socket.write(`greetings from ${settings.name}\n`);
          echoLines(socket, settings);
        });
      default:
        throw new Error(`no such server: ${spec}`);
    }
  })();
  server.on('connection', track);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host ? { host } : {}) }, () =>
      resolve({
        spec,
        stop: async () => {
          isDraining = true;
          if (settings.drainMs > 0) await new Promise((resolve) => setTimeout(resolve, settings.drainMs));
          await new Promise<void>((done) => {
            server.close(() => done());
            if ('closeIdleConnections' in server) server.closeIdleConnections();
            else for (const socket of sockets) socket.end();
            setTimeout(() => sockets.forEach((socket) => socket.destroy()), 5000).unref();
          });
        },
      }),
    );
  });
}

function podAddress(): string {
  const all = Object.values(networkInterfaces()).flat();
  return all.find((one) => one && !one.internal && one.family === 'IPv4')?.address ?? '0.0.0.0';
}

/** `/status/503`, `/slow/500` (ms), else 200; the body tells what arrived. */
function echo(request: IncomingMessage, response: ServerResponse, { name }: ServerSettings, port: number): void {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const [, what, value] = /^\/(status|slow)\/(\d+)$/.exec(path) ?? [];
  let size = 0;
  request.on('data', (chunk: Buffer) => (size += chunk.length));
  request.on('end', () => {
    const told = {
      peer: name,
      port,
      method: request.method,
      path: request.url,
      from: request.socket.remoteAddress,
      version: request.httpVersion,
      headers: request.headers,
      bodySize: size,
    };
    const reply = (): void => {
      response.statusCode = what === 'status' ? Number(value) : 200;
      response.setHeader('content-type', 'application/json');
      response.setHeader('x-peer', name);
      response.end(`${JSON.stringify(told)}\n`);
    };
    if (what === 'slow') setTimeout(reply, Number(value));
    else reply();
  });
}

function upgrade(request: IncomingMessage, socket: Socket, { name }: ServerSettings): void {
  socket.on('error', () => socket.destroy());
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade ?? ''}\r\nConnection: Upgrade\r\nx-peer: ${name}\r\n\r\n`,
  );
  socket.on('data', (frame) => {
    // Only short text frames with a mask of zeros come here: the test's own.
    const length = (frame[1] ?? 0) & 0x7f;
    socket.write(Buffer.concat([Buffer.from([0x81, length]), frame.subarray(6, 6 + length)]));
  });
}

function echoLines(socket: Socket, { name }: ServerSettings): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: string | Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) socket.write(`echo response from ${name}: ${line}\n`);
  });
}

function listenGrpc(spec: string, port: number, { name }: ServerSettings): Promise<Listening> {
  const server = new GrpcServer();
  const asIs = (bytes: Buffer): Buffer => bytes;
  const method = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  });
  const say = (request: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void =>
    done(null, Buffer.from(`${name}: ${request.request.toString()}`));
  // grpc.health.v1: one field, an enum, 1 = SERVING.
  const check = (_: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void =>
    done(null, Buffer.from([8, 1]));
  const add = (service: string, name: string, handler: UntypedHandleCall): void =>
    server.addService({ [name]: method(`/${service}/${name}`) }, { [name]: handler });
  add('echo.Echo', 'Say', say);
  add('echo.Secret', 'Tell', say);
  add('grpc.health.v1.Health', 'Check', check);
  return new Promise((resolve, reject) => {
    server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else resolve({ spec, stop: () => new Promise((done) => server.tryShutdown(() => done())) });
    });
  });
}
