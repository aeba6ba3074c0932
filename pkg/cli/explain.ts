import { type CallDestination, findDestination, findSource, type Found } from '../explain/call-parties.ts';
import { explainCall } from '../explain/explain-call.ts';
import type { Explanation } from '../explain/explanation.ts';
import { renderExplanation } from '../explain/render-explanation.ts';
import { toCallRequest } from '../explain/request.ts';
import type { Call } from '../observability/call.ts';
import type { ClusterFlags } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import type { MeshConfigFlags } from './mesh-config.ts';
import { type MeshInput, orTwo, readInput, toRendering, writeJson, writeLines } from './mesh-input.ts';
import { recordedCalls } from './recorded-calls.ts';

export interface ExplainFlags extends Pick<MeshConfigFlags, 'mode' | 'pathMatch'>, ClusterFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
  readonly header: readonly string[];
  readonly expect?: 'allow' | 'deny';
  readonly trace?: string;
  readonly output: 'text' | 'json';
}

/** `tulle explain`: 0 said (or as expected), 1 not as expected, 2 could not say. */
export function runExplain(context: CliContext, words: readonly string[], flags: ExplainFlags): Promise<number> {
  return orTwo(async () => {
    const explanations = await (flags.trace === undefined
      ? explainWords(context, words, flags)
      : explainTrace(context, words, flags.trace, flags));
    if (flags.output === 'json') {
      writeJson(context, flags.trace === undefined ? explanations[0] : explanations);
    } else {
      const blocks = explanations.map((explanation) => renderExplanation(explanation, toRendering(context)));
      writeLines(
        context,
        blocks.flatMap((lines, i) => (i === 0 ? lines : ['', ...lines])),
      );
    }
    const { expect } = flags;
    if (expect === undefined) return 0;
    const unmet = explanations.find(({ answer }) => answer !== expect);
    if (unmet === undefined) return 0;
    context.stderr.write(`tulle: expected ${expect}, and it is ${unmet.answer}\n`);
    return 1;
  });
}

async function explainWords(
  context: CliContext,
  words: readonly string[],
  flags: ExplainFlags,
): Promise<readonly Explanation[]> {
  const [source, destination, method, target, ...rest] = words;
  if (source === undefined || destination === undefined || rest.length > 0) {
    throw new CliError('write tulle explain SOURCE DESTINATION[:PORT] [METHOD PATH]', 2);
  }
  if (method !== undefined && !/^[A-Za-z!#$%&'*+.^_`|~-]+$/.test(method)) {
    throw new CliError(`"${method}" is not a method: write METHOD PATH, as in GET /books`, 2);
  }
  const input = await readInput(context, flags);
  const headers = flags.header.map(toHeader);
  return [
    explainOne(
      input,
      source,
      destination,
      method === undefined ? undefined : { method, target: target ?? '/', headers },
    ),
  ];
}

interface Asked {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
}

function explainOne({ facts }: MeshInput, from: string, to: string, asked: Asked | undefined): Explanation {
  const source = valueOf(findSource(facts, from));
  const destination: CallDestination = valueOf(findDestination(facts, to, source.namespace));
  const { entry } = destination;
  const request = asked && toCallRequest(asked, `${entry.name}.${entry.namespace}:${entry.port}`);
  return explainCall(facts, { source, destination, ...(request && { request }) });
}

function valueOf<T>(found: Found<T>): T {
  if ('fault' in found) throw new CliError(found.fault, 2);
  return found.value;
}

function toHeader(text: string): readonly [string, string] {
  const colon = text.indexOf(':', 1);
  if (colon < 0) throw new CliError(`"${text}" is not a header: write -H 'name: value'`, 2);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

/** Every call of a trace, by the policy that is in force now. */
async function explainTrace(
  context: CliContext,
  words: readonly string[],
  id: string,
  flags: ExplainFlags,
): Promise<readonly Explanation[]> {
  if (words.length > 0) throw new CliError('--trace says which call: leave SOURCE and DESTINATION out', 2);
  if (!/^[0-9a-f]{1,32}$/i.test(id)) throw new CliError(`"${id}" is not a trace id: 32 hexadecimal digits`, 2);
  const calls = await recordedCalls(context, flags, '24h');
  const mine = calls.filter(({ traceId }) => traceId === id.toLowerCase().padStart(32, '0'));
  if (mine.length === 0) throw new CliError(`no call of trace ${id} is kept: it is too old, or was not sampled`, 2);
  const input = await readInput(context, flags);
  return mine.map((call) =>
    withHistory(explainOne(input, call.source || '-', call.service, askedOf(call, flags)), call),
  );
}

function askedOf({ method, path, authority, headers }: Call, flags: ExplainFlags): Asked | undefined {
  if (method === '') return undefined;
  const recorded = Object.entries(headers).flatMap(([name, lines]) =>
    lines.split('\n').map((line): readonly [string, string] => [name, line]),
  );
  const host: readonly (readonly [string, string])[] = authority === '' ? [] : [['host', authority]];
  return { method, target: path, headers: [...flags.header.map(toHeader), ...host, ...recorded] };
}

/** What was recorded beside what would be now: policy may have changed, and not every header is recorded. */
function withHistory(explanation: Explanation, { time, verdict, status, rule, reason, backend }: Call): Explanation {
  const when = new Date(time).toISOString().slice(11, 19);
  const why = verdict === 'allowed' ? (rule === '' ? '' : ` by ${rule}`) : ` (${reason})`;
  const to = backend === '' ? '' : `, backend ${backend}`;
  const recorded = `recorded at ${when}: ${verdict}${why}${to}${status === undefined ? '' : `, status ${status}`}`;
  const differs = (verdict === 'denied') !== (explanation.answer === 'deny') && explanation.answer !== 'partly';
  const notes = differs
    ? ['it differs from what holds now: policy changed, or a header was not recorded (give it with -H)']
    : [];
  return { ...explanation, notes: [recorded, ...notes, ...explanation.notes] };
}
