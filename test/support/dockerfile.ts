import { posix } from 'node:path';

/** What the last stage of a Dockerfile copies: sources are paths in the repository, where they come from a stage as well. */
export interface ImageCopy {
  readonly sources: readonly string[];
  /** Absolute. Ends in `/` when it is the folder that the sources go into. */
  readonly target: string;
  /** `--chmod`, as octal text. */
  readonly mode?: string;
}

/** The last stage of a Dockerfile: all that is needed to make its image without Docker. */
export interface ImagePlan {
  /** The image that it starts from, seen through stages: `node:24-bookworm-slim`. */
  readonly from: string;
  readonly copies: readonly ImageCopy[];
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workdir: string;
}

interface Stage {
  readonly name: string | undefined;
  readonly from: string;
  readonly lines: readonly Line[];
}

interface Line {
  readonly word: string;
  readonly rest: string;
}

/**
 * Reads the last stage of a Dockerfile. Only what can be made by copying files is understood: a RUN in that stage, or an
 * instruction that isn't known, is an error. `args` are those of `--build-arg`.
 */
export function readImagePlan(text: string, args: Readonly<Record<string, string>> = {}): ImagePlan {
  const { globals, stages } = toStages(text, args);
  const last = stages.at(-1);
  if (!last) throw new Error('a Dockerfile without FROM');
  const named = new Map(stages.flatMap((stage) => (stage.name === undefined ? [] : [[stage.name, stage] as const])));

  const variables: Record<string, string> = {};
  const env: Record<string, string> = {};
  const copies: ImageCopy[] = [];
  let plan: Omit<ImagePlan, 'from' | 'copies' | 'env' | 'workdir'> = {};
  let workdir = '/';
  for (const line of last.lines) {
    const rest = expand(line.rest, { ...variables, ...env });
    switch (line.word) {
      case 'ARG': {
        const [name, value] = toArgument(rest);
        variables[name] = args[name] ?? value ?? globals[name] ?? '';
        break;
      }
      case 'COPY':
        copies.push(toCopy(rest, workdir, named));
        break;
      case 'ENV': {
        const [, name = '', value = ''] = /^([A-Za-z_]\w*)=(.*)$/.exec(rest) ?? [];
        if (name === '' || /\s/.test(value)) throw new Error(`ENV ${rest}: one NAME=value a line, without spaces`);
        env[name] = value;
        break;
      }
      case 'WORKDIR':
        workdir = posix.resolve(workdir, rest);
        break;
      case 'USER':
        plan = { ...plan, user: rest };
        break;
      case 'ENTRYPOINT':
        plan = { ...plan, entrypoint: toWords(line) };
        break;
      case 'CMD':
        plan = { ...plan, cmd: toWords(line) };
        break;
      default:
        throw new Error(`${line.word} in the last stage: that needs Docker`);
    }
  }
  return { from: throughStages(last.from, named), copies, env, workdir, ...plan };
}

function toStages(text: string, args: Readonly<Record<string, string>>) {
  const globals: Record<string, string> = {};
  const stages: (Omit<Stage, 'lines'> & { lines: Line[] })[] = [];
  for (const line of toLines(text)) {
    const current = stages.at(-1);
    if (line.word === 'FROM') {
      const [, from = '', name] = /^(\S+)(?:\s+[Aa][Ss]\s+(\S+))?$/.exec(expand(line.rest, globals)) ?? [];
      if (from === '') throw new Error(`FROM ${line.rest}`);
      stages.push({ name, from, lines: [] });
    } else if (current) {
      current.lines.push(line);
    } else if (line.word === 'ARG') {
      const [name, value] = toArgument(line.rest);
      globals[name] = args[name] ?? value ?? '';
    } else {
      throw new Error(`${line.word} before FROM`);
    }
  }
  return { globals, stages };
}

function toLines(text: string): Line[] {
  const whole = text.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, ' ');
  return whole.split('\n').flatMap((line) => {
    const [, word = '', rest = ''] = /^\s*([A-Za-z]+)\s+(.*?)\s*$/.exec(line) ?? [];
    if (word === '' && line.trim() !== '') throw new Error(`not an instruction: ${line}`);
    return word === '' ? [] : [{ word: word.toUpperCase(), rest }];
  });
}

function toArgument(text: string): readonly [string, string | undefined] {
  const [name = '', ...value] = text.split('=');
  return [name, value.length === 0 ? undefined : value.join('=')];
}

function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+)\}|\$(\w+)/g, (whole, braced?: string, bare?: string) => {
    const value = variables[braced ?? bare ?? ''];
    if (value === undefined) throw new Error(`${whole} is not set`);
    return value;
  });
}

function toWords({ word, rest }: Line): readonly string[] {
  if (!rest.startsWith('[')) throw new Error(`${word} ${rest}: only the form of a JSON list needs no shell`);
  return JSON.parse(rest) as string[];
}

function throughStages(from: string, named: ReadonlyMap<string, Stage>): string {
  const stage = named.get(from);
  return stage ? throughStages(stage.from, named) : from;
}

function toCopy(text: string, workdir: string, named: ReadonlyMap<string, Stage>): ImageCopy {
  const words = text.split(/\s+/);
  const flags = new Map<string, string>();
  while (words[0]?.startsWith('--')) {
    const [flag = '', value = ''] = (words.shift() as string).split('=');
    if (flag !== '--from' && flag !== '--chmod') throw new Error(`COPY ${flag}: not known`);
    flags.set(flag, value);
  }
  const target = words.pop() ?? '';
  if (words.length === 0) throw new Error(`COPY ${text}: from where to where?`);
  const stage = flags.get('--from');
  const mode = flags.get('--chmod');
  return {
    sources: stage === undefined ? words : words.map((source) => inRepository(source, stage, named)),
    target: posix.resolve(workdir, target) + (target.endsWith('/') && target !== '/' ? '/' : ''),
    ...(mode === undefined ? {} : { mode }),
  };
}

/** A path of a stage that builds in the copy of the repository that its WORKDIR is. */
function inRepository(path: string, stage: string, named: ReadonlyMap<string, Stage>): string {
  const root = named.get(stage)?.lines.find(({ word }) => word === 'WORKDIR')?.rest;
  if (root === undefined) throw new Error(`COPY --from=${stage}: no such stage, or one without WORKDIR`);
  const inside = posix.relative(root, posix.resolve(root, path));
  if (inside === '' || inside.startsWith('..')) throw new Error(`COPY --from=${stage} ${path}: not built there`);
  return inside;
}
