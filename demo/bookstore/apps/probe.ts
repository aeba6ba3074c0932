import { connect } from 'node:net';
import { send } from './http-client.ts';
import { say } from './settings.ts';

/**
 * One call, to see whether it is let through: `probe http METHOD URL` prints the status, `probe tcp HOST PORT` the first
 * line that comes. Ends with 0 when there was a 2xx answer or a line, with 3 when it was refused.
 */
async function probe(): Promise<string | undefined> {
  const [how, first = '', second = ''] = process.argv.slice(2);
  if (how === 'tcp') return firstLine(first, Number(second));
  const { status, body } = await send(first, new URL(second));
  say(`${status} ${body.trim()}`);
  return status >= 200 && status < 300 ? String(status) : undefined;
}

function firstLine(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.setTimeout(5000, () => socket.destroy());
    socket.once('data', (data) => {
      resolve(data.toString('utf8').split('\n')[0]);
      socket.destroy();
    });
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
}

const seen = await probe();
say(seen === undefined ? 'refused' : seen);
process.exitCode = seen === undefined ? 3 : 0;
