import { runController } from '../../../pkg/control-plane/run-controller.ts';
import { silentLogger } from '../../../pkg/observability/logger.ts';
import { answer, meter } from '../answer.ts';
import { meshFolder, type MeshShape, podFolder, toMeshConfig } from './mesh-files.ts';

// The controller as it is, and what it used.
const [folder = '', protosFile = '', shape = '{}'] = process.argv.slice(2);
const usage = meter();
const { controlPlane, openXdsPort, apiPort } = await runController(
  {
    id: 'bench',
    inputs: [meshFolder(folder)],
    podDirs: [podFolder(folder)],
    mesh: toMeshConfig(JSON.parse(shape) as MeshShape),
    isolation: 'isolated',
    openXds: '127.0.0.1:0',
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

answer({ port: () => openXdsPort, usage, prepared: () => undefined, progress });
