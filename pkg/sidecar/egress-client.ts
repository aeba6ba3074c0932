import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { encodeEgressRequest, maxEgressLine } from './egress-protocol.ts';
import type { EgressRequest } from './egress-protocol.ts';
import { isHalfOpen } from './upstream.ts';
import type { Upstream } from './upstream.ts';

/** The one outside has 5 s to find out; it is to say so itself. */
const answerTimeout = 6_000;

/** A host outside, reached by the one that dials for this sidecar; there is none when egress is off. */
export function toOutsideUpstream({ socket }: { readonly socket?: string }, host: string, port: number): Upstream {
  return {
    key: `egress ${host}:${port}`,
    connect: (protocol) =>
      socket === undefined
        ? Promise.reject(new Error('there is no way out'))
        : ask(socket, { kind: 'connect', host, port }, isHalfOpen(protocol)),
  };
}

/** Whether a name exists outside. */
export async function existsOutside(socketPath: string, host: string): Promise<boolean> {
  try {
    (await ask(socketPath, { kind: 'resolve', host }, false)).destroy();
    return true;
  } catch {
    return false;
  }
}

function ask(path: string, request: EgressRequest, allowHalfOpen: boolean): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen });
    let seen = '';
    const timer = setTimeout(() => fail(new Error('no answer from the way out')), answerTimeout);
    const release = (): void => {
      clearTimeout(timer);
      socket.off('error', fail);
      socket.off('close', closed);
      socket.off('readable', look);
    };
    function fail(error: Error): void {
      release();
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    }
    const closed = (): void => fail(new Error('the way out is closed'));
    function look(): void {
      const chunk = socket.read() as Buffer | null;
      if (!chunk) return;
      const end = chunk.indexOf(10);
      seen += chunk.toString('latin1', 0, end === -1 ? chunk.length : end);
      if (end === -1) {
        if (seen.length > maxEgressLine) fail(new Error('no answer that can be read'));
        return;
      }
      if (seen !== 'OK') {
        fail(new Error(seen.replace(/^NO /, '')));
        return;
      }
      release();
      if (end + 1 < chunk.length) socket.unshift(chunk.subarray(end + 1));
      resolve(socket);
    }
    socket.once('error', fail);
    socket.once('close', closed);
    socket.on('readable', look);
    socket.write(encodeEgressRequest(request));
  });
}
