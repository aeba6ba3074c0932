import { connect } from 'node:net';
import type { ControlAnswer, ControlRequest } from './control-server.ts';
import { readJsonLines, writeJsonLine } from './json-lines.ts';

export interface ControlConnection<T> {
  readonly value: T;
  /** Gives back what was asked for. */
  close(): void;
  readonly closed: Promise<void>;
}

/** Asks a running supervisor; what it gives is ours until the connection is closed. */
export function askSupervisor<T>(path: string, request: ControlRequest): Promise<ControlConnection<T>> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const closed = new Promise<void>((done) => socket.once('close', () => done()));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the mesh has ended')));
    socket.once('connect', () => writeJsonLine(socket, request));
    readJsonLines(socket, (message) => {
      const answer = message as ControlAnswer;
      if (answer.ok) resolve({ value: answer.value as T, close: () => socket.end(), closed });
      else {
        reject(new Error(answer.message));
        socket.destroy();
      }
    });
  });
}
