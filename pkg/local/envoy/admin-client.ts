import { request } from 'node:http';

export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
}

const longestAnswer = 64 * 1024 * 1024;

/** Asks the admin API of an Envoy, on its unix socket. */
export function callAdmin(socketPath: string, method: 'GET' | 'POST', path: string): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: 5_000, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      let size = 0;
      answer.on('data', (part: Buffer) => {
        size += part.length;
        if (size > longestAnswer) answer.destroy(new Error('the answer is too long'));
        else parts.push(part);
      });
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          body: Buffer.concat(parts).toString('utf8'),
        }),
      );
    });
    call.once('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.once('error', reject);
    call.end();
  });
}
