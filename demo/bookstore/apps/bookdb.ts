import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { numberSetting, say } from './settings.ts';

/** A database in the smallest: it greets first, as MySQL does, then answers `INSERT n` with `OK total`. */
let total = 0;

const server = createServer((socket) => {
  socket.write('bookdb 1.0 ready\n');
  socket.on('error', () => socket.destroy());
  const lines = createInterface({ input: socket });
  // It passes the errors of its socket on, and a TCP probe resets: nobody listening would end the process.
  lines.on('error', () => lines.close());
  lines.on('line', (line) => {
    const [, books] = /^INSERT (\d{1,6})$/.exec(line) ?? [];
    if (books === undefined) {
      socket.end('ERR syntax\n');
      return;
    }
    total += Number(books);
    socket.write(`OK ${total}\n`);
  });
});
const port = numberSetting('PORT', 3306);
server.listen(port, () => say(`bookdb listens on port ${port}`));
process.once('SIGTERM', () => process.exit(0));
