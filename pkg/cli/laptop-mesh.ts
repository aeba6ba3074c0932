import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { MeshConfig } from '../catalog/snapshot.ts';
import { createTokenKey, issueToken } from '../certs/tokens.ts';
import type { ControllerConfig } from '../control-plane/config.ts';
import { baseEnvironment } from '../local/container-process.ts';
import { findEnvoy as findEnvoyProgram } from '../local/envoy/find-envoy.ts';
import { probeIsolation, type Isolation } from '../local/isolation.ts';
import { nodeController } from '../local/node-controller.ts';
import { freePort, listenOnce, whoListens } from '../local/ports.ts';
import { createRunDirectory, runBase, writeAtomically, type RunDirectory } from '../local/run-directory.ts';
import { startSupervisor, type Machine, type Supervisor, type SupervisorOptions } from '../local/supervisor.ts';
import { runFilesProvider } from '../provider/files/run-files-provider.ts';
import { CliError, type CliContext } from './context.ts';
import { toMeshConfig } from './mesh-config.ts';
import type { UpFlags } from './program.ts';
import { createSidecars } from './sidecars.ts';

export interface LaptopMesh extends Supervisor {
  readonly run: RunDirectory;
  readonly isolation: Isolation;
  readonly api: string;
  readonly inputs: readonly string[];
}

export interface LaptopMeshEvents extends Pick<SupervisorOptions, 'onChange' | 'onNotice' | 'onLog'> {
  /** Before anything runs. */
  onStart(mesh: Pick<LaptopMesh, 'run' | 'isolation' | 'api' | 'inputs'>): void;
}

/** Tokens live an hour, the most that is accepted; they are renewed at half of it. */
const tokenSeconds = 3600;
const usualPort = 18_000;

/** Starts a mesh of processes on this machine, as `tulle up` and `tulle demo` do. */
export async function startLaptopMesh(
  context: CliContext,
  flags: UpFlags,
  events: LaptopMeshEvents,
): Promise<LaptopMesh> {
  const { env, uid, gid, node, dist, cwd } = context;
  const images = new Map(flags.image.map(toImage));
  if (flags.egressLoopback.length > 0 && flags.egress !== 'allow') {
    throw new CliError('--egress-loopback opens ports to calls out of the mesh: give --egress allow too', 2);
  }
  const path = withSystemFolders(env['PATH'] ?? '');
  const isolation = probeIsolation(flags.isolation, { platform: context.platform, path, uid, gid });
  if (flags.isolation === 'isolated' && isolation.kind !== 'isolated') {
    throw new CliError(`workloads can't be isolated here: ${isolation.why}; leave --isolation out to run by proxy`);
  }
  const findEnvoy = createEnvoyFinder(env, path, events.onNotice);
  if (flags.sidecar === 'envoy') findEnvoy();
  const run = createRunDirectory(runBase(env, uid), uid);
  try {
    const inputs = await toInputs(context, flags.file, run);
    const config = toMeshConfig(flags);
    const key = await createTokenKey();
    writeAtomically(run.file('control', 'token.pub.json'), JSON.stringify(key.publicKeys));
    const machine: Machine = {
      env: { ...env, PATH: path },
      cwd,
      uid,
      gid,
      pid: context.pid,
      node,
      launcher: join(dist, 'launcher.js'),
    };
    const base = { ...baseEnvironment(machine.env), ...logLevel(env) };
    const controller = await nodeController({
      run,
      node,
      program: join(dist, 'controller.js'),
      choosePort: (current) => (current === undefined ? choosePort(flags.port) : keepPort(current, flags.port)),
      env: base,
      cwd,
      config: (port) => toControllerConfig({ run, inputs, flags, mesh: config, port, isolation, dist }),
    });
    if (flags.egress === 'allow' && flags.sidecar === 'envoy' && isolation.kind === 'isolated') {
      events.onNotice('isolated pods with Envoy have no way out of the mesh yet: --sidecar node, or --isolation proxy');
    }
    events.onStart({ run, isolation, api: controller.api, inputs });
    const supervisor = await startSupervisor({
      machine,
      run,
      isolation,
      images,
      sidecar: flags.sidecar,
      sidecars: createSidecars({ run, node, dist, redirect: isolation.redirect, env: base, findEnvoy }),
      controller,
      forwardLogs: flags.logs === true,
      egress: { allow: flags.egress === 'allow', loopbackPorts: flags.egressLoopback },
      readFiles: (onRead, signal) =>
        runFilesProvider({
          inputs,
          defaultNamespace: flags.namespace,
          config,
          signal,
          onSnapshot: (_snapshot, _problems, read) => onRead(read),
        }),
      mintToken: (claims) => issueToken(key.privateKey, claims, { now: Date.now(), lifetime: tokenSeconds }),
      record: { dirs: inputs.map((input) => resolve(cwd, input)), config },
      onChange: events.onChange,
      onNotice: events.onNotice,
      onLog: events.onLog,
    });
    return {
      ...supervisor,
      get controllerRestarts() {
        return supervisor.controllerRestarts;
      },
      get api() {
        return controller.api;
      },
      run,
      isolation,
      inputs,
    };
  } catch (error) {
    run.remove();
    throw error;
  }
}

/** Looks once, when it is asked first: a mesh of Node sidecars does without. */
function createEnvoyFinder(env: CliContext['env'], path: string, onNotice: (text: string) => void): () => string {
  const cache = join(env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? '/tmp', '.cache'), 'tulle');
  let found: string | undefined;
  return () => {
    found ??= findEnvoyProgram({ path, cache, fetch: true, onNotice }).program;
    return found;
  };
}

/** `ip` and `nft` are where an ordinary user's PATH often does not look. */
function withSystemFolders(path: string): string {
  const folders = path.split(':');
  return [...folders, ...['/usr/sbin', '/sbin'].filter((folder) => !folders.includes(folder))].join(':');
}

function logLevel(env: CliContext['env']): Record<string, string> {
  const level = env['TULLE_LOG_LEVEL'];
  return level === undefined ? {} : { TULLE_LOG_LEVEL: level };
}

function toImage(flag: string): [string, string] {
  const at = flag.indexOf('=');
  if (at < 1 || at === flag.length - 1) throw new CliError(`--image wants NAME=PROGRAM, not "${flag}"`, 2);
  return [flag.slice(0, at), flag.slice(at + 1)];
}

export async function choosePort(wanted: number | undefined): Promise<number> {
  try {
    return await listenOnce(wanted ?? usualPort);
  } catch {
    if (wanted === undefined) return freePort('tulle', new Set());
    const holder = whoListens(wanted) ?? 'another program';
    throw new CliError(`port ${wanted} is in use by ${holder}: end it, or give another --port`);
  }
}

/** The same port as before, so that an open page goes on; another one when somebody took it meanwhile. */
async function keepPort(current: number, wanted: number | undefined): Promise<number> {
  try {
    return await listenOnce(current);
  } catch {
    if (wanted !== undefined)
      throw new CliError(`port ${current} is in use by ${whoListens(current) ?? 'another program'}`);
    return freePort(`tulle ${current}`, new Set([current]));
  }
}

/** Standard input can be read but once, and two programs read the input: it becomes a file. */
async function toInputs({ cwd }: CliContext, files: readonly string[], run: RunDirectory): Promise<readonly string[]> {
  const inputs: string[] = [];
  for (const file of files) {
    if (file === '-') {
      const { text } = await import('node:stream/consumers');
      const { stdin } = await import('node:process');
      writeFileSync(run.file('stdin.yaml'), await text(stdin), { mode: 0o600 });
      inputs.push(run.file('stdin.yaml'));
    } else if (existsSync(resolve(cwd, file))) {
      inputs.push(file);
    } else {
      throw new CliError(`${file}: there is no such file or directory`, 2);
    }
  }
  return inputs;
}

interface ControllerInput {
  readonly run: RunDirectory;
  readonly inputs: readonly string[];
  readonly flags: UpFlags;
  readonly mesh: MeshConfig;
  readonly port: number;
  readonly isolation: Isolation;
  readonly dist: string;
}

/** Inputs stay as the user wrote them: the controller runs in the same folder, and problems name files by them. */
function toControllerConfig({ run, inputs, flags, mesh, port, isolation, dist }: ControllerInput): ControllerConfig {
  return {
    id: run.id,
    inputs,
    podDirs: [run.file('pods')],
    defaultNamespace: flags.namespace,
    mesh,
    isolation: isolation.kind,
    xds: {
      socket: run.file('xds.sock'),
      caFile: run.file('controller-ca.pem'),
      tokenKeysFile: run.file('control', 'token.pub.json'),
    },
    caDirectory: run.file('control', 'ca'),
    apiPort: port,
    pageDir: join(dist, 'page'),
    otlpSocket: run.file('otlp.sock'),
    ...(flags.otlp === undefined ? {} : { otlpForward: flags.otlp }),
    protosFile: join(dist, 'protos.json'),
  };
}
