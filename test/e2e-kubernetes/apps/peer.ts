import { lookup } from 'node:dns/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { askForClusters, type AdsOrder } from './ads.ts';
import { call, type Call } from './calls.ts';
import { startLoad, type Load, type LoadOrder } from './load.ts';
import { listen, type Listening } from './servers.ts';

// A peer of the tests: serves what LISTEN says, sends what its control port (CONTROL) is told to, or LOAD from its start.
// Ends on SIGTERM when what is under way is answered, and says then what came of its loads.
const settings = {
  name: process.env['NAME'] ?? hostname(),
  tlsFolder: process.env['TLS_FOLDER'],
  drainMs: Number(process.env['DRAIN_MS'] ?? 0),
};
const specs = (process.env['LISTEN'] ?? '').split(',').filter((spec) => spec !== '');
const servers = new Map<string, Listening>();
const loads = new Map<string, Load>();

async function order(path: string, body: string): Promise<unknown> {
  switch (path) {
    case '/call':
      return call(JSON.parse(body) as Call);
    case '/calls':
      return Promise.all((JSON.parse(body) as Call[]).map((one) => call(one)));
    case '/load': {
      const what = JSON.parse(body) as LoadOrder;
      loads.set(what.id ?? 'load', startLoad(what));
      return {};
    }
    case '/tally': {
      const { id = 'load', since } = JSON.parse(body) as { id?: string; since?: number };
      return loads.get(id)?.tally(since);
    }
    case '/stop': {
      const { id = 'load' } = JSON.parse(body) as { id?: string };
      const tally = await loads.get(id)?.stop();
      loads.delete(id);
      return tally;
    }
    case '/ads':
      return askForClusters(JSON.parse(body) as AdsOrder);
    case '/resolve':
      return lookup((JSON.parse(body) as { name: string }).name, { all: true, family: 4 });
    case '/deafen': {
      const { spec } = JSON.parse(body) as { spec: string };
      void servers.get(spec)?.stop();
      servers.delete(spec);
      return {};
    }
    case '/listen': {
      const { spec } = JSON.parse(body) as { spec: string };
      servers.set(spec, await listen(spec, settings));
      return {};
    }
    default:
      return { name: settings.name };
  }
}

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (text += chunk));
    request.on('end', () => resolve(text));
    request.on('error', reject);
  });
}

const control = createServer((request, response) => {
  void readBody(request)
    .then((body) => order(request.url ?? '/', body))
    .then(
      (answer) => response.end(`${JSON.stringify(answer ?? null)}\n`),
      (error: Error) => {
        response.statusCode = 500;
        response.end(`${JSON.stringify({ error: String(error.stack) })}\n`);
      },
    );
});

process.once('SIGTERM', () => {
  void Promise.all([...loads].map(async ([id, load]) => tell({ id, ...(await load.stop()) })))
    .then(() => Promise.all([...servers.values()].map((server) => server.stop())))
    .then(() => process.exit(0));
});

function tell(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

for (const spec of specs) servers.set(spec, await listen(spec, settings));
control.listen(Number(process.env['CONTROL'] ?? 8099));
const load = process.env['LOAD'];
if (load !== undefined) loads.set('start', startLoad(JSON.parse(load) as LoadOrder));
tell({ started: settings.name, listen: specs });
