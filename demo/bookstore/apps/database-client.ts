import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setting } from './settings.ts';

export interface Database {
  /** Stores so many books; the number that are stored now. */
  insert(books: number): Promise<number>;
}

interface Waiting {
  resolve(total: number): void;
  reject(error: Error): void;
}

/**
 * A client that keeps one connection and asks for the next when it is lost. The database speaks first: a greeting,
 * before it any command would be out of turn. Where Kubernetes' own variables for a Service are set they win over the name.
 */
export function connectDatabase(): Database {
  const host = setting('BOOKDB_SERVICE_HOST', setting('DATABASE_HOST', 'bookdb.bookwarehouse'));
  const port = Number(setting('BOOKDB_SERVICE_PORT', setting('DATABASE_PORT', '3306')));
  let current: Promise<Connection> | undefined;
  const open = (): Promise<Connection> => {
    current ??= openConnection(host, port, () => (current = undefined));
    return current;
  };
  return {
    insert: async (books) => (await open()).insert(books),
  };
}

type Connection = Database;

function openConnection(host: string, port: number, onEnd: () => void): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const waiting: Waiting[] = [];
    const socket = connect({ host, port });
    let failed = false;
    const fail = (error: Error): void => {
      if (failed) return;
      failed = true;
      onEnd();
      socket.destroy();
      reject(error);
      for (const command of waiting.splice(0)) command.reject(error);
    };
    socket.setTimeout(5000, () => waiting.length > 0 && fail(new Error('no answer within 5 s')));
    socket.once('error', fail);
    socket.once('close', () => fail(new Error('connection closed')));
    const lines = createInterface({ input: socket });
    // It passes the errors of its socket on: with nobody listening they would end the process.
    lines.on('error', fail);
    lines.on('line', (line) => {
      if (line.startsWith('bookdb ')) resolve(connection(socket, waiting));
      else if (line.startsWith('OK ')) waiting.shift()?.resolve(Number(line.slice(3)));
      else fail(new Error(line));
    });
  });
}

function connection(socket: Socket, waiting: Waiting[]): Connection {
  return {
    insert: (books) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        socket.write(`INSERT ${books}\n`);
      }),
  };
}
