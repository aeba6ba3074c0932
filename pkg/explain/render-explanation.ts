import type { Position } from '../problem/problem.ts';
import type { BackendView, ConditionView, Explanation, Finding, SplitView, TargetView } from './explanation.ts';
import { percent } from './explain-call.ts';

export interface Rendering {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly strong: (text: string) => string;
  /** `mesh.yaml:12:7`, as the user knows the file. */
  readonly place: (position: Position) => string;
}

/** The decision path in order, then the verdict and what is behind it. */
export function renderExplanation(explanation: Explanation, rendering: Rendering): readonly string[] {
  const { request, split, backends, nearest, notes } = explanation;
  const { strong, dim } = rendering;
  const lines = [strong(title(explanation)), '', ...parties(explanation)];
  if (request?.path !== undefined && request.path !== request.target)
    lines.push(`  path    normalised to ${request.path}`);
  for (const note of notes) lines.push(`  note    ${note}`);
  if (split) lines.push(...splitLines(split, rendering));
  // Where no backend takes traffic the split has said why, and the root's own pods are not what is missing.
  const isDead = split?.matched === true && split.shares.every(({ share }) => share === 0);
  for (const backend of backends)
    if (!isDead || backend.outcome !== 'unavailable') lines.push(...backendLines(backend, rendering));
  lines.push('', verdict(explanation, rendering));
  for (const finding of explanation.because) lines.push(`  ${located(finding, rendering)}`);
  if (nearest) lines.push(`  ${strong('nearest miss:')} ${located(nearest, rendering)}`);
  return lines
    .map((line) => (line === '' ? line : line.trimEnd()))
    .map((line) => (line.startsWith('  note') ? dim(line) : line));
}

function title({ source, destination, request }: Explanation): string {
  const { service, port, protocol, pod } = destination;
  const what = request
    ? `${request.method} ${request.target}`
    : protocol === 'http' || protocol === 'grpc'
      ? ''
      : 'TCP';
  const from = source.account === '' ? '(no sidecar)' : source.account;
  return `${from} -> ${pod === undefined ? '' : `${pod}.`}${service}:${port} ${what}`.trimEnd();
}

function parties({ source, destination }: Explanation): readonly string[] {
  const who =
    source.identity === undefined
      ? 'a caller without a sidecar: no identity'
      : `${source.identity}${source.workloads.length > 0 ? `, as run by ${source.workloads.join(', ')}` : ''}`;
  const { service, port, protocol } = destination;
  return [`  source  ${who}`, `  service ${service}, port ${port}, ${protocol}`];
}

function splitLines({ origin, at, matched, shares }: SplitView, rendering: Rendering): readonly string[] {
  const { dim, place } = rendering;
  const name = `${origin.namespace}/${origin.name}`;
  const where = at ? dim(` ${place(at)}`) : '';
  if (!matched)
    return [`  split   ${name} has matches, and this request fits none: it goes to the root itself${where}`];
  return [
    `  split   ${name} shares it${where}`,
    ...shares.map(({ backend, weight, share, out }) =>
      out === undefined
        ? `            ${backend}  weight ${weight}, ${percent(share)}`
        : dim(`            ${backend}  ${weight === undefined ? '' : `weight ${weight}, `}takes none: ${out}`),
    ),
  ];
}

function backendLines(backend: BackendView, rendering: Rendering): readonly string[] {
  const { service, share, pods, account, port, mode, modeFrom, targets, outcome } = backend;
  const head = `  to      ${service}, ${percent(share)} of the calls`;
  if (outcome === 'unavailable') return [`${head}: no ready pod`];
  if (outcome === 'malformed') return [`${head}: ServiceAccount ${account}, port ${port}, refused with 400`];
  if (account === undefined) return pods.length === 0 ? [] : [`${head}: ${pods.join(', ')}, without a sidecar`];
  return [
    `${head}: ServiceAccount ${account}, port ${port}, mode ${mode} (${modeFrom})`,
    ...targets.flatMap((target) => targetLines(target, rendering)),
    ...(targets.length === 0 ? ['    no TrafficTarget opens it'] : []),
  ];
}

function targetLines(target: TargetView, rendering: Rendering): readonly string[] {
  const { origin, at, held, shadow, conditions, matches, broken } = target;
  const { dim, bad, place } = rendering;
  const lines = [
    `    ${mark(held, rendering)} TrafficTarget ${origin.namespace}/${origin.name}${shadow ? ', a rehearsal' : ''}${at ? dim(` ${place(at)}`) : ''}`,
    ...conditions.map((condition) => `        ${conditionLine(condition, rendering)}`),
  ];
  const [only, ...others] = matches ?? [];
  if (only && others.length > 0 && !matches?.some((match) => match.held)) lines.push(dim('        any one of these:'));
  for (const match of matches ?? []) {
    const parts = match.conditions.map((condition) => conditionLine(condition, rendering));
    const text = parts.length > 0 ? `: ${parts.join(', ')}` : ': any request';
    lines.push(
      `        ${mark(match.held, rendering)} match ${match.name}${text}${match.at ? dim(` ${place(match.at)}`) : ''}`,
    );
  }
  for (const finding of broken) lines.push(`        ${bad('!')} ${located(finding, rendering)}`);
  return lines;
}

function conditionLine({ what, held, wanted, actual, header }: ConditionView, rendering: Rendering): string {
  const name = header === undefined ? what : `${what} ${header}`;
  if (held !== false) return `${mark(held, rendering)} ${name} ${wanted}`;
  return `${mark(false, rendering)} ${name} ${wanted}${actual === '' ? '' : rendering.dim(` (is ${actual})`)}`;
}

function mark(held: boolean | undefined, { good, bad, dim }: Rendering): string {
  return held === undefined ? dim('?') : held ? good('+') : bad('-');
}

function verdict(
  { answer, served, denied, unavailable, malformed, reasons }: Explanation,
  { good, bad, strong }: Rendering,
): string {
  switch (answer) {
    case 'allow':
      return strong(good('ALLOWED'));
    case 'deny':
      return strong(bad(`DENIED  ${reasons.join(', ')}`));
    case 'unavailable':
      return strong(bad('UNAVAILABLE  503'));
    case 'malformed':
      return strong(bad('REFUSED  400'));
    case 'depends':
      return strong('DEPENDS on the request: add METHOD PATH');
    case 'partly': {
      const parts = [`${percent(served)} allowed`];
      if (denied > 0) parts.push(`${percent(denied)} denied (${reasons.join(', ')})`);
      if (unavailable > 0) parts.push(`${percent(unavailable)} unavailable (503)`);
      if (malformed > 0) parts.push(`${percent(malformed)} refused (400)`);
      return strong(bad(`PARTLY  ${parts.join(', ')}`));
    }
  }
}

function located({ message, at }: Finding, { dim, place }: Rendering): string {
  return at ? `${message} ${dim(place(at))}` : message;
}
