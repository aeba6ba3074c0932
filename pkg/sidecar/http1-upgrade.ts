import { ServerResponse } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { toBadRequest, toUnavailable } from './denial.ts';
import type { Exchange, HttpSite } from './exchange.ts';
import { connectionOptions, decodeRequestFraming, linesOf, toForwardedResponseHeaders } from './headers.ts';
import { answerHttp1 } from './http1-answer.ts';
import { beginHttp1, toUpstreamHead } from './http1-forward.ts';
import type { Peer } from './peer-identity.ts';
import { recordAfterMillis } from './tcp-forward.ts';
import type { Tunnels } from './tunnels.ts';

export interface Upgrade {
  readonly site: HttpSite;
  readonly peer: Peer;
  readonly tunnels: Tunnels;
  readonly req: IncomingMessage;
  readonly socket: Socket;
  /** Bytes behind the head. */
  readonly head: Buffer;
  /** Reads the connection as HTTP once more, from what is unshifted into it. */
  readonly again: () => void;
}

/**
 * Passes a protocol upgrade (WebSocket and others, RFC 9110 §7.8): the request is decided like any other; after
 * the app's 101 the connection is a tunnel. `h2c` is not passed: its request goes on as the ordinary one that it also is.
 */
export function upgradeHttp1(upgrade: Upgrade): void {
  const { site, peer, req, socket } = upgrade;
  const wanted = linesOf(req.rawHeaders, 'upgrade').join(', ');
  const options = connectionOptions(req.rawHeaders);
  if (!options.has('upgrade') || /(?:^|[\s,])h2c?(?:$|[\s,])/i.test(wanted)) {
    readAgain(upgrade);
    return;
  }
  socket.on('error', () => undefined);
  const res = new ServerResponse(req);
  res.assignSocket(socket);
  res.shouldKeepAlive = false;
  res.sendDate = false;
  res.once('finish', () => socket.end(() => socket.destroy()));
  const read = decodeRequestFraming(req.rawHeaders, req.httpVersion);
  const framing =
    read.kind === 'none' || read.kind === 'refused'
      ? read
      : ({
          kind: 'refused',
          status: 400,
          why: 'a body beside Upgrade',
        } as const);
  const exchange = beginHttp1(site, req, peer, framing);
  const { ruling } = exchange;
  if (ruling.kind === 'answer' || framing.kind === 'refused') {
    answerHttp1(exchange, req, res, ruling.kind === 'answer' ? ruling.answer : toUnavailable('refused'));
    return;
  }
  passUpgrade(upgrade, exchange, res, wanted);
}

function passUpgrade(
  { site, tunnels, req, socket, head }: Upgrade,
  exchange: Exchange,
  res: ServerResponse,
  wanted: string,
): void {
  const { ruling, facts, target } = exchange;
  const route = ruling.kind === 'forward' ? ruling.next() : undefined;
  if (ruling.kind !== 'forward' || !route) {
    answerHttp1(exchange, req, res, toUnavailable('no ready endpoint'));
    return;
  }
  const headers = [...toUpstreamHead(exchange, { kind: 'none' }), 'connection', 'Upgrade', 'upgrade', wanted];
  let request: ClientRequest;
  try {
    const idleTimeout = site.limits.streamIdle;
    request = site.http1.request(route.upstream, { method: facts.method, path: target, headers, idleTimeout });
  } catch {
    route.done();
    answerHttp1(exchange, req, res, toBadRequest('the request can not be forwarded as it is'));
    return;
  }
  let settled = false;
  const gone = (): void => {
    request.destroy();
    exchange.end('client_gone');
  };
  socket.once('close', gone);
  request.once('socket', route.succeeded);
  request.once('upgrade', (answer, server, fromServer) => {
    settled = true;
    socket.off('close', gone);
    facts.status = answer.statusCode ?? 101;
    res.detachSocket(socket);
    socket.write(toHeadText(answer, route.fromApp));
    const early = setTimeout(() => exchange.end(), recordAfterMillis);
    tunnels.join({
      client: socket,
      server,
      fromClient: head,
      fromServer,
      idleTimeout: site.limits.tcpIdle,
      stillAllowed: ruling.stillAllowed,
      onEnd(error) {
        clearTimeout(early);
        route.done();
        exchange.end(error);
      },
    });
  });
  request.once('response', (answer) => {
    settled = true;
    facts.status = answer.statusCode ?? 0;
    res.once('close', () => exchange.end());
    request.once('close', route.done);
    try {
      res.writeHead(facts.status, answer.statusMessage, toForwardedResponseHeaders(answer.rawHeaders, route.fromApp));
    } catch {
      socket.destroy();
      return;
    }
    answer.once('close', () => {
      if (!answer.complete) socket.destroy();
    });
    answer.pipe(res);
  });
  request.once('timeout', () => request.destroy());
  request.once('error', () => {
    if (settled) return;
    settled = true;
    route.failed();
    route.done();
    ruling.call.reason ??= 'Unavailable';
    answerHttp1(exchange, req, res, toUnavailable('could not connect'));
  });
  request.end();
}

/** The head of a 101, as the app gave it. */
function toHeadText(answer: IncomingMessage, fromApp: boolean): string {
  const headers = toForwardedResponseHeaders(answer.rawHeaders, fromApp);
  const protocol = linesOf(answer.rawHeaders, 'upgrade').join(', ');
  let text = `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${text}\r\n`;
}

/** Takes the upgrade out of a request and hands it to the parser once more. */
function readAgain({ req, socket, head, again }: Upgrade): void {
  const { rawHeaders } = req;
  const options = [...connectionOptions(rawHeaders)].filter((option) => !/^(?:upgrade|http2-settings|)$/.test(option));
  let text = `${req.method} ${req.url} HTTP/${req.httpVersion}\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    if (name === 'upgrade' || name === 'connection' || name === 'http2-settings') continue;
    text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
  }
  if (options.length > 0) text += `connection: ${options.join(', ')}\r\n`;
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]));
  again();
}
