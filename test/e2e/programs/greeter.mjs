// Speaks first, as MySQL does, and says which of a set it is; then gives back what it gets.
import { createServer } from 'node:net';
import { hostname } from 'node:os';

createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.write(`${hostname()} speaks first\n`);
  socket.pipe(socket);
}).listen(Number(process.env.PORT ?? 3306));
process.once('SIGTERM', () => process.exit(0));
