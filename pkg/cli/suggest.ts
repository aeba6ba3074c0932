import type { RawObject } from '../catalog/snapshot.ts';
import type { Call } from '../observability/call.ts';
import { parseDocuments } from '../provider/files/yaml-documents.ts';
import type { PathStyle } from '../suggest/generalise-paths.ts';
import { houseStyleOf } from '../suggest/house-style.ts';
import { isRefused, type Proof, prove, suggestPolicy } from '../suggest/suggest-policy.ts';
import { writeYaml } from '../suggest/write-yaml.ts';
import { type ClusterFlags, clusterFlagsOf } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import { orTwo, readInput, writeJson } from './mesh-input.ts';
import { plural } from './plural.ts';
import { readRecorded, toRecordedSince, warnIfCut } from './recorded-calls.ts';

export interface SuggestFlags extends ClusterFlags {
  readonly trace?: string;
  /** Of the Services that were called. */
  readonly namespace?: string;
  readonly since: string;
  readonly paths: PathStyle;
  readonly output: 'yaml' | 'json';
}

/** `tulle suggest`: YAML on stdout, what it comes to on stderr. 0 it allows all that was refused, 1 not all, 2 could not tell. */
export function runSuggest(context: CliContext, flags: SuggestFlags): Promise<number> {
  return orTwo(async () => {
    const since = flags.trace === undefined ? flags.since : '24h';
    const recorded = await readRecorded(context, flags, since);
    const { calls } = recorded;
    const wanted = calls.filter((call) => isMeant(call, flags) && isRefused(call));
    // JSON has it in a field.
    if (flags.trace === undefined && (wanted.length === 0 || flags.output !== 'json')) warnIfCut(context, recorded);
    if (wanted.length === 0) {
      if (flags.trace !== undefined && !calls.some((call) => isMeant(call, flags)))
        throw new CliError(`no call of trace ${flags.trace} is kept: it is too old, or was not sampled`, 2);
      const which =
        flags.trace === undefined
          ? `${flags.namespace === undefined ? '' : `in namespace ${flags.namespace} `}in the last ${since}`
          : `in trace ${flags.trace}`;
      throw new CliError(`nothing was refused by policy ${which}, so there is nothing to suggest`, 2);
    }
    // The whole mesh: who calls into the namespace is often in another.
    const { facts, read } = await readInput(context, clusterFlagsOf(flags));
    const style = houseStyleOf(facts.snapshot.smi, read.files);
    const objects = suggestPolicy(facts, wanted, flags.paths, style);
    if (objects.length === 0) {
      const what = wanted.length === 1 ? 'was refused, and it passes' : 'were refused, and they pass';
      throw new CliError(`${plural(wanted.length, 'call')} ${what} by now`, 2);
    }
    const text = writeYaml(objects, style.flow);
    // What is proven is the text: it is read again as any file is.
    const written = parseDocuments(text).map(({ value }) => value as RawObject);
    const proof = prove(facts, written, wanted, calls);
    if (flags.output === 'json') {
      const { others, left, ...rest } = proof;
      const told = { ...rest, others: others.slice(0, 100), left: Object.fromEntries(left) };
      writeJson(context, { objects, proof: told, ...toRecordedSince(recorded) });
    } else {
      context.stdout.write(text);
      for (const line of describe(proof)) context.stderr.write(`# ${line}\n`);
    }
    return proof.allowed === proof.wanted ? 0 : 1;
  });
}

function isMeant({ traceId, service }: Call, { trace, namespace }: SuggestFlags): boolean {
  if (trace !== undefined) return traceId === trace.toLowerCase().padStart(32, '0');
  return namespace === undefined || service.startsWith(`${namespace}/`);
}

function describe({ wanted, allowed, alike, others, othersCount, left }: Proof): readonly string[] {
  const rest =
    othersCount === 0 ? 'nothing else that was seen' : `${plural(othersCount, 'other call')} that the mesh saw`;
  const more = alike === 0 ? '' : `, ${alike} more of the same kind`;
  const requests = plural(wanted, 'request');
  const all = allowed < wanted ? `${allowed} of ${requests}` : `${wanted === 1 ? 'this' : 'these'} ${requests}`;
  return [
    `replayed: allows ${all}${more}${othersCount === 0 ? ', ' : ', and '}${rest}`,
    ...others
      .slice(0, 10)
      .map(({ source, service, method, path }) => `  also: ${source} -> ${service} ${method} ${path}`.trimEnd()),
    ...[...left].map(([why, count]) => `  not allowed: ${count}: ${why}`),
  ];
}
