import { compilePattern } from '../policy/pattern.ts';
import type { BackendView, ConditionView, Finding, MatchView, TargetView } from './explanation.ts';

/** How much a failed condition weighs: another source is further away than another method. */
const costs: Readonly<Record<ConditionView['what'], number>> = { source: 16, port: 8, path: 6, method: 2, header: 2 };

interface Miss {
  readonly cost: number;
  /** Of equal misses, the one whose pattern has more of the path. */
  readonly likeness: number;
  readonly target: TargetView;
  readonly match?: MatchView;
  readonly failed: readonly ConditionView[];
}

/** The TrafficTarget that came closest to letting a call pass where it was refused, and what is missing to it. */
export function nearestMiss(backends: readonly BackendView[]): Finding | undefined {
  const refused = backends.filter(({ outcome, reason }) => outcome === 'denied' || reason !== undefined);
  const misses = refused.flatMap(({ targets }) => targets.flatMap(missesOf));
  const [best, ...rest] = misses;
  if (best === undefined) return undefined;
  const nearest = rest.reduce(
    (a, b) => (b.cost < a.cost || (b.cost === a.cost && b.likeness > a.likeness) ? b : a),
    best,
  );
  return describe(nearest);
}

function missesOf(target: TargetView): readonly Miss[] {
  const { conditions, matches, held, shadow, broken } = target;
  if (held) return shadow ? [{ cost: 1, likeness: 0, target, failed: [] }] : [];
  const failed = conditions.filter((condition) => !condition.held);
  if (conditions.length === 0) return broken.length > 0 ? [{ cost: 20, likeness: 0, target, failed }] : [];
  const base = (shadow ? 1 : 0) + costOf(failed);
  if (matches === undefined) return [{ cost: base, likeness: 0, target, failed }];
  if (matches.some((match) => match.held)) return [{ cost: base, likeness: 0, target, failed }];
  return matches.map((match) => {
    const own = match.conditions.filter((condition) => !condition.held);
    return { cost: base + costOf(own), likeness: likenessOf(match), target, match, failed: [...failed, ...own] };
  });
}

function costOf(conditions: readonly ConditionView[]): number {
  return conditions.reduce((sum, { what }) => sum + costs[what], 0);
}

function likenessOf({ conditions }: MatchView): number {
  const path = conditions.find(({ what }) => what === 'path');
  if (path === undefined) return 0;
  let i = 0;
  while (i < path.wanted.length && path.wanted[i] === path.actual[i]) i += 1;
  return i;
}

function describe({ target, match, failed }: Miss): Finding {
  const { origin, shadow, broken } = target;
  const name = `TrafficTarget ${origin.namespace}/${origin.name}`;
  const [first] = failed;
  const at = first?.at ?? match?.at ?? target.at;
  const [fault] = broken;
  if (first === undefined && fault !== undefined && !shadow) {
    return {
      message: `${name} is meant for it and grants nothing: ${fault.message}`,
      ...(fault.at && { at: fault.at }),
    };
  }
  const of = match ? `match "${match.name}" of ${match.group.namespace}/${match.group.name}, ${name}` : name;
  const parts = failed.map((condition) => missing(condition, name));
  if (shadow) parts.push('it is a rehearsal (annotation tulle.dev/mode: shadow)');
  const text = parts.join('; and ');
  const single = parts.length === 1 ? first : undefined;
  const message =
    single?.what === 'source'
      ? text
      : single?.what === 'method'
        ? `would be allowed if the method were ${single.wanted} (${of})`
        : `${text} (${of})`;
  return { message, ...(at && { at }) };
}

function missing({ what, wanted, actual, header }: ConditionView, target: string): string {
  switch (what) {
    case 'source':
      return `source ${actual}: only ${wanted} ${wanted.includes(', ') ? 'are sources' : 'is a source'} of ${target}`;
    case 'port':
      return `port ${actual}: only ${wanted} ${wanted.includes(', ') ? 'are' : 'is'} open`;
    case 'method':
      return `method ${actual}: only ${wanted} ${wanted.includes(' or ') ? 'are' : 'is'} allowed`;
    case 'path':
      return missingPath(wanted, actual);
    case 'header':
      return actual === ''
        ? `header ${header} is missing: it must match ${wanted}`
        : `header ${header} is ${actual}: a line of it must match ${wanted} as a whole`;
  }
}

function missingPath(pattern: string, path: string): string {
  const text = `path ${path}: the pattern ${pattern} must match the whole path`;
  if (!path.startsWith('/')) return `a request that matches ${pattern} is needed`;
  if (compilePattern(`(?:${pattern}).*`).test(path))
    return `${text}, and matches its start only: ${openEnded(pattern)} would`;
  if (compilePattern(`(?:${pattern})/`).test(path)) return `${text}; the slash at the end counts`;
  return compilePattern(`(?i:${pattern})`).test(path) ? `${text}; upper and lower case count` : text;
}

/** The pattern that would match what is below, too: a glob's `/*` stands for `/.*`. */
function openEnded(pattern: string): string {
  if (pattern.endsWith('/*')) return `${pattern.slice(0, -1)}.*`;
  return pattern.includes('|') ? `(${pattern}).*` : `${pattern}.*`;
}
