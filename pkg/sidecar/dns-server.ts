import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { decodeQuery, encodeAnswer, encodeRefusal } from './dns-message.ts';
import type { DnsAnswer } from './dns-message.ts';

export interface DnsServer {
  /** On 127.0.0.1, of UDP and of TCP. */
  readonly udpPort: number;
  readonly tcpPort: number;
  close(): void;
}

/** What is said of a name. */
export type AnswerName = (name: string) => DnsAnswer | Promise<DnsAnswer>;

const maxTcpClients = 64;
const maxPending = 1_024;
const tcpIdle = 10_000;

/** A name server for the apps of one pod (RFC 1035; TCP by RFC 7766), on loopback ports of its network. */
export async function runDnsServer(answerName: AnswerName): Promise<DnsServer> {
  let pending = 0;

  async function answer(message: Buffer): Promise<Buffer | undefined> {
    const query = decodeQuery(message);
    if (!query) return encodeRefusal(message);
    const failed: DnsAnswer = { code: 'failed', addresses: [], ttlSeconds: 0 };
    if (pending >= maxPending) return encodeAnswer(query, failed);
    pending += 1;
    try {
      return encodeAnswer(query, await answerName(query.name));
    } catch {
      return encodeAnswer(query, failed);
    } finally {
      pending -= 1;
    }
  }

  const udp = createSocket('udp4');
  let isClosed = false;
  udp.on('message', (message, { port, address }) => {
    void answer(message).then((bytes) => {
      // A socket that is closed throws.
      if (bytes && !isClosed) udp.send(bytes, port, address, () => undefined);
    });
  });
  const clients = new Set<Socket>();
  const tcp = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client);
    client.once('close', () => clients.delete(client));
    serveTcp(client, answer);
  });
  tcp.maxConnections = maxTcpClients;
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject);
    udp.bind(0, '127.0.0.1', () => {
      udp.off('error', reject);
      udp.on('error', () => undefined);
      resolve();
    });
  });
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(0, '127.0.0.1', () => resolve());
  });
  return {
    udpPort: udp.address().port,
    tcpPort: (tcp.address() as AddressInfo).port,
    close() {
      isClosed = true;
      udp.close();
      tcp.close();
      for (const client of clients) client.destroy();
    },
  };
}

/** Each message has its length before it. Answers come in the order of the questions. */
function serveTcp(client: Socket, answer: (message: Buffer) => Promise<Buffer | undefined>): void {
  let rest: Buffer = Buffer.alloc(0);
  let turn = Promise.resolve();
  client.setTimeout(tcpIdle, () => client.destroy());
  client.on('error', () => client.destroy());
  client.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      const message = rest.subarray(2, end);
      rest = rest.subarray(end);
      client.pause();
      turn = turn.then(() => answer(message)).then((bytes) => reply(client, bytes));
    }
  });
  client.on('end', () => void turn.then(() => client.end()));
}

function reply(client: Socket, bytes: Buffer | undefined): void {
  if (!bytes || client.destroyed) {
    client.destroy();
    return;
  }
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length, 0);
  client.write(Buffer.concat([length, bytes]));
  client.resume();
}
