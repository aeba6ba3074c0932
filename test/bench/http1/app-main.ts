import { createServer as createHttp2Server } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import { type BenchProtocol, bodySize } from './setup.ts';

/** The app of the benchmark: answers each request with 1 KiB, as cheaply as Node can. Started with a port and a protocol. */
const [port, protocol] = process.argv.slice(2) as [string, BenchProtocol];
const body = 'x'.repeat(bodySize);

function serveHttp1(): void {
  const answer = Buffer.from(
    `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf('\r\n\r\n'); at >= 0; at = chunk.indexOf('\r\n\r\n', at + 4)) socket.write(answer);
    });
  }).listen(Number(port), '127.0.0.1');
}

function serveHttp2(): void {
  const server = createHttp2Server();
  // Else what is asked slowly waits for the acknowledgement of the answer before.
  server.on('connection', (socket: Socket) => socket.setNoDelay(true));
  const message = Buffer.concat([Buffer.from([0, 0, 0, body.length >> 8, body.length & 255]), Buffer.from(body)]);
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.resume();
    if (protocol === 'grpc') {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(message);
    } else {
      stream.respond({ ':status': 200, 'content-type': 'text/plain', 'content-length': body.length });
      stream.end(body);
    }
  });
  server.listen(Number(port), '127.0.0.1');
}

if (protocol === 'http2' || protocol === 'grpc') serveHttp2();
else serveHttp1();
process.on('SIGTERM', () => process.exit(0));
