/**
 * The pods that `tulle check` tries a mesh with: `serve PORT`, and `call URL STATUS SECONDS [TRACEPARENT]`, which asks
 * until the answer is that status and leaves what it saw as its termination message. No mesh in here, and nothing of ours.
 */
import { writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';

interface Seen {
  readonly status: number;
  readonly body: string;
}

function serve(port: number): void {
  const server = createServer((_, response) => void response.end('served\n'));
  server.listen(port, '0.0.0.0');
  process.once('SIGTERM', () => process.exit(0));
}

function ask(url: string, traceparent: string | undefined): Promise<Seen> {
  return new Promise((resolve) => {
    const headers = traceparent === undefined ? {} : { traceparent };
    const call = request(url, { agent: false, timeout: 3_000, headers }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body = (body + text).slice(0, 300)));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      answer.on('error', ({ message }) => resolve({ status: 0, body: message }));
    });
    call.on('timeout', () => call.destroy(new Error('no answer within 3 s')));
    call.on('error', ({ message }) => resolve({ status: 0, body: message }));
    call.end();
  });
}

/** Until the wanted answer, or one that is final: a 200 where none may pass. */
async function call(url: string, wanted: number, seconds: number, traceparent: string | undefined): Promise<void> {
  const end = Date.now() + seconds * 1000;
  let seen = await ask(url, traceparent);
  while (seen.status !== wanted && seen.status !== 200 && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    seen = await ask(url, traceparent);
  }
  const text = JSON.stringify(seen);
  process.stdout.write(`${text}\n`);
  try {
    writeFileSync('/dev/termination-log', text);
  } catch {
    // Where there is none, the log has it.
  }
  // The sidecar ends soon after this, and tells of its calls once a second: of what it denied nobody else can.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  process.exit(seen.status === wanted ? 0 : 1);
}

const [role, first = '', second = '', third = '', traceparent] = process.argv.slice(2);
if (role === 'serve') serve(Number(first));
else if (role === 'call') await call(first, Number(second), Number(third), traceparent);
else {
  process.stderr.write('usage: check-server serve PORT | call URL STATUS SECONDS [TRACEPARENT]\n');
  process.exit(2);
}
