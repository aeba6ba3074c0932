import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);

export interface ImageFile {
  /** File or folder. */
  readonly path: string;
  readonly mode?: number;
}

/** The final stage of a Dockerfile, without docker: files on top of a base. */
export interface ImageSource {
  /** `name:tag` */
  readonly name: string;
  /** The base as a Dockerfile names it. */
  readonly from: string;
  /** By their path in the image. */
  readonly files: Readonly<Record<string, ImageFile>>;
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  /** A node that reaches a registry pulls it: loaded only where something stands in for its base. */
  readonly pulled?: boolean;
  /** Where it comes from: a load command with docker at hand may build it all (see `scripts/cluster-images-kind.sh`). */
  readonly dockerfile?: { readonly path: string; readonly args: Readonly<Record<string, string>> };
}

/**
 * How images get into the cluster, from the environment:
 * `TULLE_IMAGE_LOAD`: a command that takes `NAME:TAG DIR --from BASE [--entrypoint ..] [--cmd ..] [--env K=V] [--user U] [--workdir D]`;
 * `TULLE_IMAGE_BASES`: `node=my.local/node:20,envoyproxy/envoy=…`: what stands in for bases that can't be pulled.
 */
export interface ImageLoader {
  readonly command: readonly string[];
  readonly bases: ReadonlyMap<string, string>;
}

export function imageLoaderFromEnvironment(): ImageLoader | undefined {
  const command = (process.env['TULLE_IMAGE_LOAD'] ?? '').split(' ').filter((word) => word !== '');
  if (command.length === 0) return undefined;
  const bases = (process.env['TULLE_IMAGE_BASES'] ?? '')
    .split(',')
    .filter((pair) => pair.includes('='))
    .map((pair) => pair.split('=') as [string, string]);
  return { command, bases: new Map(bases) };
}

/** What stands in for a base: by its whole name, or by its repository. */
export function standIn({ bases }: ImageLoader, from: string): string | undefined {
  const plain = from.replace(/@sha256:.*$/, '');
  const repository = plain.replace(/:[^/:]*$/, '');
  return bases.get(plain) ?? bases.get(repository) ?? bases.get(repository.replace(/^docker\.io\/(library\/)?/, ''));
}

/** Loads those whose content this cluster does not have yet; gives the names that it loaded. */
export async function loadImages(
  loader: ImageLoader,
  cluster: string,
  sources: readonly ImageSource[],
): Promise<string[]> {
  const stateFile = join(root, 'build/images', `loaded-${cluster}.json`);
  mkdirSync(dirname(stateFile), { recursive: true });
  const known = existsSync(stateFile) ? (JSON.parse(readFileSync(stateFile, 'utf8')) as Record<string, string>) : {};
  const loaded: string[] = [];
  for (const source of sources) {
    const folder = stage(source);
    const options = toOptions(loader, source);
    const digest = digestOf(folder, [...loader.command, ...options]);
    if (known[source.name] === digest) continue;
    const [program = '', ...before] = loader.command;
    const { path, args } = source.dockerfile ?? { path: '', args: {} };
    const buildArgs = Object.entries(args).map(([name, value]) => `${name}=${value}`);
    await run(program, [...before, source.name, folder, ...options], {
      cwd: root,
      env: { ...process.env, TULLE_IMAGE_DOCKERFILE: path, TULLE_IMAGE_BUILD_ARGS: buildArgs.join(' ') },
      timeout: 600_000,
      maxBuffer: 2 ** 24,
    });
    known[source.name] = digest;
    loaded.push(source.name);
    writeFileSync(stateFile, JSON.stringify(known, null, 1));
  }
  return loaded;
}

function stage({ name, files }: ImageSource): string {
  const folder = join(root, 'build/images', name.replaceAll(/[/:]/g, '_'));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [to, content] of Object.entries(files)) {
    const path = join(folder, to);
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(content.path)) throw new Error(`image ${name}: no ${content.path}; run \`make build\``);
    cpSync(content.path, path, { recursive: true });
    if (content.mode !== undefined) chmodSync(path, content.mode);
  }
  return folder;
}

function toOptions(loader: ImageLoader, source: ImageSource): string[] {
  const { from, entrypoint, cmd, env = [], user, workdir } = source;
  return [
    ...['--from', standIn(loader, from) ?? from],
    ...(entrypoint ? ['--entrypoint', entrypoint.join(' ')] : []),
    ...(cmd ? ['--cmd', cmd.join(' ')] : []),
    ...env.flatMap((pair) => ['--env', pair]),
    ...(user ? ['--user', user] : []),
    ...(workdir ? ['--workdir', workdir] : []),
  ];
}

function digestOf(folder: string, options: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify(options));
  const add = (path: string): void => {
    const { mode } = statSync(path);
    hash.update(`${basename(path)} ${mode}\n`);
    if (statSync(path).isDirectory()) for (const entry of readdirSync(path).sort()) add(join(path, entry));
    else hash.update(readFileSync(path));
  };
  add(folder);
  return hash.digest('hex');
}
