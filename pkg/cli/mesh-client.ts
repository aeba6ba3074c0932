import { request } from 'node:http';
import { CliError } from './context.ts';

/** Asks the controller of a running mesh. */
export async function getJson<T>(api: string, path: string, timeoutMs = 5_000): Promise<T> {
  const { status, body } = await get(new URL(path, api), timeoutMs);
  if (status !== 200) throw new CliError(`${api}${path} answered ${status}: ${body.slice(0, 200)}`);
  return JSON.parse(body) as T;
}

const largest = 64 * 1024 * 1024;

function get(url: URL, timeoutMs: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request(url, { timeout: timeoutMs, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > largest) call.destroy(new Error('the answer is too large'));
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      answer.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.on('error', reject);
    call.end();
  });
}
