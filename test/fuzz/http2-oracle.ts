import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { OracleAnswer } from './http2-oracle-main.ts';
import type { Http2Reading } from './http2-reading.ts';

/** Asks node's HTTP/2 server, and starts another one where it died of the question: the answer is undefined then. */
export interface Oracle {
  read(bytes: Buffer): Promise<Http2Reading | undefined>;
  close(): void;
}

export async function startOracle(): Promise<Oracle> {
  let child = await start();
  return {
    async read(bytes) {
      child.send(bytes.toString('hex'));
      const answer = await answerOf(child);
      if (answer === undefined) {
        child = await start();
        return undefined;
      }
      const { complete, begun, failed } = answer;
      return { complete: new Map(complete), begun: new Set(begun), failed };
    },
    close: () => child.disconnect(),
  };
}

function answerOf(child: ChildProcess): Promise<OracleAnswer | undefined> {
  return new Promise((resolve) => {
    const done = (answer: OracleAnswer | undefined): void => {
      child.removeAllListeners();
      resolve(answer);
    };
    child.once('message', (answer) => done(answer as OracleAnswer));
    child.once('exit', () => done(undefined));
  });
}

async function start(): Promise<ChildProcess> {
  const main = join(import.meta.dirname, 'http2-oracle-main.ts');
  const child = fork(main, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'ignore', 'ipc'] });
  await once(child, 'message');
  return child;
}
