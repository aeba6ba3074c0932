import { createTokenAuthentication } from '../../../pkg/control-plane/authenticate.ts';
import { runController } from '../../../pkg/control-plane/run-controller.ts';
import { silentLogger } from '../../../pkg/observability/logger.ts';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { answer, meter } from '../answer.ts';
import { toCredentialFiles } from './credentials.ts';
import { meshFolder, type MeshShape, podFolder, toMeshConfig } from './mesh-files.ts';

// The controller as it is, and what it used. With a folder of credentials: over TLS, for proxies with tokens.
const [folder = '', protosFile = '', shapeText = '{}', credentials] = process.argv.slice(2);
const usage = meter();
const mesh = toMeshConfig(JSON.parse(shapeText) as MeshShape);
const files = credentials === undefined ? undefined : toCredentialFiles(credentials);
const { controlPlane, openXdsPort, apiPort } = await runController(
  {
    id: 'bench',
    inputs: [meshFolder(folder)],
    podDirs: [podFolder(folder)],
    mesh,
    isolation: 'isolated',
    ...(files ? { xds: files } : { openXds: '127.0.0.1:0' }),
    apiPort: 0,
    protosFile,
  },
  { log: silentLogger },
  new AbortController().signal,
);
let lastAck = 0;
const watchAcks = (): void => {
  for (const server of controlPlane.servers()) {
    server.onStatus(() => {
      lastAck = Number(process.hrtime.bigint()) / 1e6;
    });
  }
};

/** How many bytes of each type have been sent so far. */
async function bytesByType(): Promise<Record<string, number>> {
  const response = await fetch(`http://127.0.0.1:${apiPort}/metrics`);
  const lines = (await response.text()).split('\n');
  const found = lines.map((line) => /^tulle_xds_response_bytes_total\{type="([^"]+)"\} (\d+)/.exec(line));
  return Object.fromEntries(
    found.flatMap((match): [string, number][] => (match ? [[match[1] ?? '', Number(match[2])]] : [])),
  );
}

async function progress(): Promise<object> {
  if (lastAck === 0) watchAcks();
  const nacks = controlPlane
    .servers()
    .flatMap((server) => server.status())
    .flatMap(({ types }) => types.map(({ nack }) => nack))
    .filter((nack) => nack !== undefined);
  return { lastAck: (lastAck ||= 1), nacks, bytes: await bytesByType() };
}

/** As a controller in a cluster listens, and tokens verified as on a laptop. */
function listenSecured({ tokenKeysFile }: { readonly tokenKeysFile: string }): Promise<number> {
  const model = (): ReturnType<typeof controlPlane.source.model> => controlPlane.source.model();
  const { trustDomain } = mesh;
  const authenticate = createTokenAuthentication({ keysFile: tokenKeysFile, trustDomain, model, now: Date.now });
  return controlPlane.listen('127.0.0.1:0', authenticate, 'tls');
}

const port = files ? await listenSecured(files) : openXdsPort;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** MiB: what lives, and what the process has, once nothing is left to collect. */
function memory(): { live: number; rss: number } {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return { live: (heapUsed + external) / 1048576, rss: process.memoryUsage.rss() / 1048576 };
}

/** Proxies that have a stream. */
const clients = (): number => controlPlane.servers().reduce((sum, server) => sum + server.clients().length, 0);

answer({ port: () => port, usage, prepared: () => undefined, progress, memory, clients });
