import { type IncomingHttpHeaders, request } from 'node:http';
import { CliError } from './context.ts';

/** What a controller said. */
export interface Answer<T> {
  readonly value: T;
  readonly headers: IncomingHttpHeaders;
}

/** Asks the controller of a running mesh. */
export async function getJson<T>(api: string, path: string, timeoutMs?: number): Promise<T> {
  return (await getAnswer<T>(api, path, timeoutMs)).value;
}

/** The same with what the headers say. */
export async function getAnswer<T>(api: string, path: string, timeoutMs = 5_000): Promise<Answer<T>> {
  const { status, body, headers } = await get(new URL(path, api), timeoutMs);
  if (status !== 200) throw new CliError(`${api}${path} answered ${status}: ${body.slice(0, 200)}`);
  return { value: JSON.parse(body) as T, headers };
}

const largest = 64 * 1024 * 1024;

function get(url: URL, timeoutMs: number): Promise<{ status: number; body: string; headers: IncomingHttpHeaders }> {
  return new Promise((resolve, reject) => {
    const call = request(url, { timeout: timeoutMs, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > largest) call.destroy(new Error('the answer is too large'));
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }));
      answer.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.on('error', reject);
    call.end();
  });
}
