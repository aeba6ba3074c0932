// Answers with what reached it: the pod that it is, and the path. Listens where it is told.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const port = Number(process.env.PORT ?? 8080);
createServer((request, response) => {
  request.resume();
  response.end(`${JSON.stringify({ host: hostname(), path: request.url, name: process.env.NAME ?? '' })}\n`);
}).listen(port);
process.once('SIGTERM', () => process.exit(0));
