// Prints the first line of a server that speaks first, then what it gives back; 3 when it says nothing.
import { connect } from 'node:net';

const [host, port] = process.argv.slice(2);
const socket = connect({ host, port: Number(port) });
let text = '';
socket.setTimeout(5_000, () => socket.destroy());
socket.on('connect', () => socket.write('and this comes back\n'));
socket.on('data', (chunk) => {
  text += chunk;
  if (text.includes('comes back')) socket.end();
});
socket.on('error', () => undefined);
socket.on('close', () => {
  process.stdout.write(text === '' ? 'nothing\n' : text);
  process.exit(text === '' ? 3 : 0);
});
