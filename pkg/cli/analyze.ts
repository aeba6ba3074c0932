import { analyzeMesh } from '../analysis/analyze-mesh.ts';
import { toSarif } from '../analysis/sarif.ts';
import { type Judged, suppress } from '../analysis/suppress.ts';
import type { Problem, Severity } from '../problem/problem.ts';
import { withPositions } from '../provider/files/with-positions.ts';
import { type ClusterFlags, meansCluster } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import type { MeshConfigFlags } from './mesh-config.ts';
import {
  displayFile,
  displayPlace,
  type MeshInput,
  orTwo,
  readFiles,
  readInput,
  writeJson,
  writeLines,
} from './mesh-input.ts';
import { plural } from './plural.ts';
import { severityWord } from './problem-line.ts';
import { paintFor, type Paint } from './table.ts';

export interface AnalyzeFlags extends Pick<MeshConfigFlags, 'mode' | 'pathMatch'>, ClusterFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
  readonly output: 'text' | 'json' | 'sarif';
}

/** `tulle analyze`: 0 nothing wrong, 1 an error or a warning, 2 could not look; the same in every format. */
export function runAnalyze(context: CliContext, files: readonly string[], flags: AnalyzeFlags): Promise<number> {
  return orTwo(async () => {
    const inputs = [...files, ...flags.file];
    const { input, judged } = meansCluster(flags)
      ? await judgeCluster(context, inputs, flags)
      : await judgeFiles(context, inputs, flags);
    const { problems, suppressed } = judged;
    const { cwd, version } = context;
    if (flags.output === 'sarif') {
      const uriOf = (file: string): string => encodeURI(displayFile(cwd, file));
      writeJson(context, toSarif(problems, suppressed, version, uriOf));
    } else if (flags.output === 'json') {
      writeJson(context, {
        documents: input.read.objects,
        problems,
        suppressed: suppressed.map(({ problem, justification }) => ({ ...problem, justification })),
      });
    } else {
      const noun = inputs.length === 0 ? 'object' : 'document';
      writeLines(context, toText(context, judged, plural(input.read.objects, noun)));
    }
    return problems.some(({ severity }) => severity !== 'info') ? 1 : 0;
  });
}

async function judgeFiles(
  context: CliContext,
  inputs: readonly string[],
  flags: AnalyzeFlags,
): Promise<{ input: MeshInput; judged: Judged }> {
  if (inputs.length === 0) throw new CliError('write tulle analyze FILE|DIR|-, or a cluster with --context', 2);
  const input = await readFiles(context, inputs, flags);
  const { objects, problems } = input.read;
  // A path that was mistyped must not look like a mesh in which nothing is wrong.
  if (objects === 0 && problems.length === 0) {
    throw new CliError(
      `nothing was found in ${inputs.map((file) => (file === '-' ? 'stdin' : file)).join(', ')}: no YAML or JSON document; check the path`,
      2,
    );
  }
  return { input, judged: judge(input) };
}

/** All that is wrong in a cluster; or of files, laid over it, what is wrong in them or would be by them. */
async function judgeCluster(
  context: CliContext,
  inputs: readonly string[],
  flags: AnalyzeFlags,
): Promise<{ input: MeshInput; judged: Judged }> {
  const input = await readInput(context, { ...flags, file: inputs });
  const { problems, suppressed } = judge(input);
  const { before } = input;
  if (before === undefined) return { input, judged: { problems: byObject(problems), suppressed } };
  const known = new Set(judge(before).problems.map(idOf));
  const caused = problems.filter((problem) => problem.position !== undefined || !known.has(idOf(problem)));
  return { input, judged: { problems: caused, suppressed } };
}

function idOf({ resource: { kind, namespace, name }, field, reason, message }: Problem): string {
  return `${kind} ${namespace}/${name} ${field} ${reason} ${message}`;
}

/** What has no place in a file is found by its namespace. */
function byObject(problems: readonly Problem[]): readonly Problem[] {
  const keyOf = ({ resource: { kind, namespace, name } }: Problem): string => `${namespace}/${kind}/${name}`;
  return [...problems].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0));
}

/** All problems of reading, building and analysis, in the order of the files; without what the user wants so. */
function judge({ read, facts }: Pick<MeshInput, 'read' | 'facts'>): Judged {
  const found = [...read.problems, ...withPositions([...facts.problems, ...analyzeMesh(facts)], read.locate)];
  const { problems, suppressed } = suppress(found, read.files, read.locate);
  const order = new Map([...read.files.keys()].map((file, i) => [file, i]));
  const rank = ({ position }: Problem): readonly [number, number, number] => [
    position ? (order.get(position.file) ?? order.size) : order.size + 1,
    position?.line ?? 0,
    position?.column ?? 0,
  ];
  const sorted = problems
    .map((problem) => ({ problem, rank: rank(problem) }))
    .sort(({ rank: a }, { rank: b }) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2])
    .map(({ problem }) => problem);
  return { problems: sorted, suppressed };
}

function toText(
  context: Pick<CliContext, 'stdout' | 'env' | 'cwd'>,
  { problems, suppressed }: Judged,
  looked: string,
): readonly string[] {
  const paint = paintFor(context);
  const count = (wanted: Severity): number => problems.filter(({ severity }) => severity === wanted).length;
  const [errors, warnings, notes] = [count('error'), count('warning'), count('info')];
  const parts = [
    looked,
    ...(errors > 0 ? [paint.bad(plural(errors, 'error'))] : []),
    ...(warnings > 0 ? [plural(warnings, 'warning')] : []),
    ...(errors + warnings === 0 ? [paint.good('no problems')] : []),
    ...(notes > 0 ? [plural(notes, 'note')] : []),
    ...(suppressed.length > 0 ? [`${suppressed.length} ignored`] : []),
  ];
  return [...problems.map((problem) => toLine(problem, context.cwd, paint)), parts.join(', ')];
}

function toLine({ resource, severity, message, fix, reason, position }: Problem, cwd: string, paint: Paint): string {
  const place = position ? `${paint.strong(displayPlace(cwd, position))}: ` : '';
  const object = resource.name === '' ? '' : `${resource.kind} ${nameOf(resource)}: `;
  const word = severityWord(severity);
  const coloured = severity === 'error' ? paint.bad(word) : severity === 'info' ? paint.dim(word) : paint.strong(word);
  return `${place}${coloured}: ${object}${message}. Fix: ${fix}. ${paint.dim(`[${reason}]`)}`;
}

function nameOf({ namespace, name }: Problem['resource']): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}
