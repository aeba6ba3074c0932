import { setMaxListeners } from 'node:events';
import { rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { CertificateAuthority } from '../certs/authority.ts';
import { openAuthority } from '../certs/authority.ts';
import { systemClock } from '../certs/clock.ts';
import { createMemoryStore, openFileStore } from '../certs/file-store.ts';
import type { Logger } from '../observability/logger.ts';
import { Metrics } from '../observability/metrics.ts';
import { runFilesProvider } from '../provider/files/run-files-provider.ts';
import { createOpenAuthentication, createTokenAuthentication } from './authenticate.ts';
import { type ControllerConfig, toLoopbackAddress } from './config.ts';
import type { ControlPlane } from './control-plane.ts';
import { openCore } from './core.ts';
import { createWebApps } from './web-apps.ts';

export interface RunningController {
  /** Port of the HTTP API on the loopback, if it was asked for. */
  readonly apiPort?: number;
  /** Port of xDS without authentication, if it was asked for. */
  readonly openXdsPort?: number;
  /** In a cluster. */
  readonly ports?: Readonly<Record<'xds' | 'otlp' | 'webhook' | 'health', number>>;
  readonly controlPlane: ControlPlane;
  /** Settles when the signal has been aborted and everything is closed; rejects when the files can't be followed. */
  readonly done: Promise<void>;
}

export interface BuildInfo {
  readonly commit: string;
  readonly built: string;
}

export interface ControllerOptions {
  readonly log: Logger;
  readonly version?: string;
  /** What this was built from, and when; empty texts where that is not known. */
  readonly build?: BuildInfo;
  /** In a pod: where the API server is, without DNS. */
  readonly apiServer?: string;
}

/** The API server as the kubelet tells each container: KUBERNETES_SERVICE_HOST and _PORT; undefined outside of a pod. */
export function toApiServer(host: string | undefined, port: string | undefined): string | undefined {
  if (host === undefined || host === '' || port === undefined || port === '') return undefined;
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Runs the control plane of one mesh until the signal is aborted: of a cluster, or of files. */
export async function runController(
  config: ControllerConfig,
  { log, version = 'development', build, apiServer }: ControllerOptions,
  signal: AbortSignal,
): Promise<RunningController> {
  // Everything that runs here ends with this one signal.
  setMaxListeners(0, signal);
  if (config.kubernetes) {
    const { runInCluster } = await import('./cluster/run-in-cluster.ts');
    return runInCluster(
      { ...config, kubernetes: config.kubernetes },
      { log, version, ...(build === undefined ? {} : { build }), ...(apiServer === undefined ? {} : { apiServer }) },
      signal,
    );
  }
  return runOnFiles(config, { log }, signal);
}

async function runOnFiles(
  config: ControllerConfig,
  { log }: { readonly log: Logger },
  signal: AbortSignal,
): Promise<RunningController> {
  const metrics = new Metrics();
  const store = config.caDirectory === undefined ? createMemoryStore() : await openFileStore(config.caDirectory);
  const clock = systemClock;
  const authority = await openAuthority({ store, clock, name: config.mesh.trustDomain });
  const { controlPlane, rotateRoots } = await openCore({ config, authority, clock, store, log, metrics });
  rotateRoots(signal);

  const servers: Server[] = [];
  const open = async (app: RequestListener, at: number | string): Promise<number> => {
    const { server, port } = await listenHttp(app, at);
    servers.push(server);
    return port;
  };
  const apps = createWebApps({ config, view: controlPlane.view, metrics, log, signal });
  const apiPort = config.apiPort === undefined ? undefined : await open(apps.dashboard, config.apiPort);
  if (config.otlpSocket !== undefined) await open(apps.otlp, config.otlpSocket);

  // The first mesh is published before anybody is served: a proxy that comes back is not sent a mesh half read.
  const { first, done: following } = followFiles(config, controlPlane, signal);
  await Promise.race([first, following]);
  const openXdsPort = await listenXds(config, controlPlane, authority, log);
  log.info('the control plane is up', { apiPort, openXdsPort, inputs: config.inputs });

  async function run(): Promise<void> {
    try {
      await following;
    } finally {
      await controlPlane.close();
      for (const server of servers) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
      if (config.xds) await rm(config.xds.socket, { force: true });
    }
  }

  return {
    controlPlane,
    done: run(),
    ...(apiPort === undefined ? {} : { apiPort }),
    ...(openXdsPort === undefined ? {} : { openXdsPort }),
  };
}

function followFiles(
  { inputs, podDirs, defaultNamespace, mesh }: ControllerConfig,
  controlPlane: ControlPlane,
  signal: AbortSignal,
): { first: Promise<void>; done: Promise<void> } {
  let read = (): void => undefined;
  const first = new Promise<void>((resolve) => {
    read = resolve;
  });
  const done = runFilesProvider({
    inputs,
    config: mesh,
    signal,
    ...(podDirs === undefined ? {} : { podDirs }),
    ...(defaultNamespace === undefined ? {} : { defaultNamespace }),
    onSnapshot: (snapshot, problems, { locate }) => {
      controlPlane.apply({ snapshot, problems, locate });
      read();
    },
  });
  return { first, done };
}

async function listenXds(
  { xds, openXds, mesh }: ControllerConfig,
  controlPlane: ControlPlane,
  authority: CertificateAuthority,
  log: Logger,
): Promise<number | undefined> {
  const model = (): ReturnType<typeof controlPlane.source.model> => controlPlane.source.model();
  if (xds) {
    const publishRoots = (): Promise<void> => writeAtomically(xds.caFile, authority.bundle());
    await publishRoots();
    authority.subscribe(() => {
      publishRoots().catch((error: unknown) => log.error('the roots could not be written', { error }));
    });
    // What a killed controller left would be an address in use.
    await rm(xds.socket, { force: true });
    const { trustDomain } = mesh;
    const authenticate = createTokenAuthentication({ keysFile: xds.tokenKeysFile, trustDomain, model, now: Date.now });
    await controlPlane.listen(`unix:${xds.socket}`, authenticate, 'tls');
  }
  if (openXds === undefined) return undefined;
  const snapshot = (): ReturnType<typeof controlPlane.snapshot> => controlPlane.snapshot();
  const authenticate = createOpenAuthentication({ trustDomain: mesh.trustDomain, model, snapshot });
  return controlPlane.listen(toLoopbackAddress(openXds), authenticate, 'plaintext');
}

/** A port of the loopback, or the path of a unix socket. */
async function listenHttp(app: RequestListener, at: number | string): Promise<{ server: Server; port: number }> {
  const server = createServer(app);
  server.requestTimeout = 60_000;
  if (typeof at === 'string') await rm(at, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? new Error(`port ${at} of 127.0.0.1 is in use by another process`) : error);
    });
    if (typeof at === 'string') server.listen(at, resolve);
    else server.listen(at, '127.0.0.1', resolve);
  });
  const address = server.address();
  return { server, port: typeof address === 'object' && address ? address.port : 0 };
}

async function writeAtomically(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
