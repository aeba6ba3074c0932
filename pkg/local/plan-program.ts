import type { Problem } from '../problem/problem.ts';
import type { Container } from '../provider/files/workload.ts';
import { toWords } from './words.ts';

/** The programs of this machine. */
export interface Programs {
  /** By image name as the user gave it: `--image NAME=PROGRAM`. */
  readonly images: ReadonlyMap<string, string>;
  /** Absolute path of a program, by its name on the PATH or its path from a folder; undefined when it isn't there. */
  readonly findProgram: (name: string, folder: string) => string | undefined;
  /** The container's own working directory when it exists here, else the folder of its file. */
  readonly workingFolder: (workingDir: string | undefined, folder: string) => string;
}

export interface ProgramPlan {
  readonly program: string;
  readonly args: readonly string[];
}

/**
 * The local program of a container (DECISIONS L1): the annotation's command, the image's program in place of `command[0]`, or the
 * command as it stands. What can't be found is a problem with the flag that helps.
 */
export function planProgram(
  container: Container,
  annotation: string | undefined,
  cwd: string,
  { images, findProgram }: Programs,
  report: (problem: Omit<Problem, 'resource'>) => void,
): ProgramPlan {
  const missing = (name: string, field: string): ProgramPlan => {
    const image = nameOfImage(container.image) || container.name;
    const message =
      name === ''
        ? `container "${container.name}" names no command, and its image can't run here`
        : `no program "${name}" on this machine`;
    const fix = `give a local one: --image ${image}=PROGRAM, or the annotation tulle.dev/command`;
    report({ field, severity: 'error', reason: 'ProgramMissing', message, fix });
    return { program: '', args: [] };
  };
  const locate = ([name = '', ...args]: readonly string[], field: string): ProgramPlan => {
    const program = name === '' ? undefined : findProgram(name, cwd);
    return program === undefined ? missing(name, field) : { program, args };
  };
  const { command, args } = container;
  if (annotation !== undefined) return locate([...toWords(annotation), ...args], '');
  const replacement = findImage(images, container.image);
  if (replacement !== undefined) {
    const words = findProgram(replacement, cwd) === undefined ? toWords(replacement) : [replacement];
    return locate([...words, ...command.slice(1), ...args], '/image');
  }
  return locate([...command, ...(command.length === 0 ? [] : args)], command.length === 0 ? '/image' : '/command/0');
}

/** `docker.io/library/mysql:5.6@sha256:…` → `docker.io/library/mysql`. */
function nameOfImage(image: string): string {
  const withoutDigest = image.split('@')[0] ?? '';
  const slash = withoutDigest.lastIndexOf('/');
  const colon = withoutDigest.indexOf(':', slash + 1);
  return colon === -1 ? withoutDigest : withoutDigest.slice(0, colon);
}

/** By the whole name, else by its last part: `bookstore` stands for `openservicemesh/bookstore:v1.2` too. */
function findImage(images: ReadonlyMap<string, string>, image: string): string | undefined {
  const name = nameOfImage(image);
  for (const [given, program] of images) if (nameOfImage(given) === name) return program;
  const last = name.slice(name.lastIndexOf('/') + 1);
  return images.get(last);
}
