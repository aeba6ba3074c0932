import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { OracleAnswer } from './http2-oracle-main.ts';
import type { Http2Reading } from './http2-reading.ts';

/** Asks node's HTTP/2 server, and starts another one where it died of the question: the answer is undefined then. */
export interface Oracle {
  /** Answers in the order of the inputs, which it reads at once. */
  read(inputs: readonly Buffer[]): Promise<readonly (Http2Reading | undefined)[]>;
  close(): void;
}

export async function startOracle(): Promise<Oracle> {
  let child = await start();

  async function ask(inputs: readonly Buffer[]): Promise<readonly (Http2Reading | undefined)[]> {
    child.send(inputs.map((bytes) => bytes.toString('hex')));
    const answers = await answerOf(child);
    if (answers !== undefined) return answers.map(toReading);
    child = await start();
    if (inputs.length === 1) return [undefined];
    // One of them did it.
    const readings: (Http2Reading | undefined)[] = [];
    for (const bytes of inputs) readings.push(...(await ask([bytes])));
    return readings;
  }

  return { read: ask, close: () => child.disconnect() };
}

function toReading({ complete, begun, failed }: OracleAnswer): Http2Reading {
  return { complete: new Map(complete), begun: new Set(begun), failed };
}

function answerOf(child: ChildProcess): Promise<readonly OracleAnswer[] | undefined> {
  return new Promise((resolve) => {
    const done = (answers: readonly OracleAnswer[] | undefined): void => {
      child.removeAllListeners();
      resolve(answers);
    };
    child.once('message', (answers) => done(answers as readonly OracleAnswer[]));
    child.once('exit', () => done(undefined));
  });
}

async function start(): Promise<ChildProcess> {
  const main = join(import.meta.dirname, 'http2-oracle-main.ts');
  const child = fork(main, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'ignore', 'ipc'] });
  await once(child, 'message');
  return child;
}
