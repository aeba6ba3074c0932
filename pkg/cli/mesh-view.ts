import type { MeshReport } from '../dashboard/dashboard.ts';
import type { PodPlan } from '../local/pod-plan.ts';
import type { PodStatus } from '../local/pod-status.ts';
import type { Flow } from '../observability/flows.ts';
import type { Problem } from '../problem/problem.ts';
import { plural } from './plural.ts';
import { toProblemLine } from './problem-line.ts';
import { cut, toTable, type Paint, widthOf, wrap } from './table.ts';

/** A pod as the table shows it, of this machine or of a cluster. */
export interface PodView {
  readonly plan: Pick<PodPlan, 'namespace' | 'name' | 'owner'>;
  readonly status: PodStatus;
}

/** All that the live table shows. */
export interface MeshPicture {
  readonly id: string;
  readonly mode: string;
  readonly isolation: string;
  readonly page: string;
  readonly inputs: readonly string[];
  /** The command that looks into the same input for more; absent: there is none to name. */
  readonly analyze?: string;
  /** Absent: the controller does not answer (yet). */
  readonly report?: Pick<MeshReport, 'splits'>;
  readonly flows: readonly Flow[];
  readonly pods: readonly PodView[];
  readonly problems: readonly Problem[];
}

const problemsShown = 5;

/** The live table: who calls whom and what becomes of it, the shares, the pods and their addresses, what is wrong. */
export function renderPicture(picture: MeshPicture, paint: Paint, columns: number): readonly string[] {
  const { id, mode, isolation, page, inputs } = picture;
  const lines = [
    `${paint.strong('tulle')} ${id}  ${mode}, ${isolation}  ${paint.strong(page)}  ${paint.dim(inputs.join(' '))}`,
    '',
    ...problemLines(picture, paint, columns),
    ...flowLines(picture, paint, columns),
    ...splitLines(picture, paint),
    '',
    ...podLines(picture.pods, paint, columns),
  ];
  return lines.map((line) => cut(line, columns));
}

function flowLines({ flows, report }: MeshPicture, paint: Paint, columns: number): readonly string[] {
  if (!report) return [paint.dim('the controller does not answer yet')];
  if (flows.length === 0) return [paint.dim('no calls yet')];
  const rows = [...join(flows)]
    .sort((a, b) => (`${a.source} ${a.service} ${a.backend}` < `${b.source} ${b.service} ${b.backend}` ? -1 : 1))
    .map((flow) => [
      flow.source || '(not in the mesh)',
      target(flow),
      String(flow.requests),
      verdict(flow, paint),
      why(flow),
      latency(flow),
    ]);
  const table = toTable([heading(['CALLER', 'SERVICE', 'CALLS/MIN', 'VERDICT', 'WHY', 'P50'], paint), ...rows]);
  if (table.every((line) => widthOf(line) <= columns)) return table;
  // Too narrow for a table: what became of the call, and why, must not be what is cut off.
  return rows.flatMap(([caller = '', service = '', calls = '', said = '', reason = '', p50 = '']) => [
    `${said}  ${caller} > ${service}`,
    paint.dim(`  ${calls} a minute  ${reason}  ${p50}`.trimEnd()),
  ]);
}

/** A call is counted without its rule until the server's side has reported it: one row for both. */
function join(flows: readonly Flow[]): readonly Flow[] {
  const rows = new Map<string, Flow>();
  for (const flow of flows) {
    const { source, verdict: said } = flow;
    const key = `${source} ${target(flow)} ${said} ${said === 'allowed' ? '' : flow.reason}`;
    const row = rows.get(key);
    const larger = row && row.requests > flow.requests ? row : flow;
    rows.set(key, {
      ...larger,
      rule: larger.rule || flow.rule || (row?.rule ?? ''),
      requests: flow.requests + (row?.requests ?? 0),
      errors: flow.errors + (row?.errors ?? 0),
    });
  }
  return [...rows.values()];
}

function target({ service, backend }: Flow): string {
  const [, name = ''] = service.split(/[/:]/);
  return backend === '' || backend === name ? service : `${service} > ${backend}`;
}

function verdict({ verdict: said, errors }: Flow, paint: Paint): string {
  if (said === 'denied') return paint.bad('denied');
  if (said === 'would-deny') return paint.bad('would deny');
  return errors > 0 ? `${paint.good('allowed')}, ${paint.bad(`${errors} failed`)}` : paint.good('allowed');
}

function why({ verdict: said, reason, rule }: Flow): string {
  return said === 'allowed' ? rule : reason;
}

function latency({ p50, protocol }: Flow): string {
  return protocol === 'tcp' ? '' : `${p50 < 10 ? p50.toFixed(1) : Math.round(p50)} ms`;
}

function splitLines({ report }: MeshPicture, paint: Paint): readonly string[] {
  return (report?.splits ?? []).flatMap(({ split, wanted, observed, total }) => [
    '',
    `${paint.strong('split')} ${split}  ${total} calls`,
    ...toTable(
      wanted.map(({ backend, weight, share, excluded }) => {
        const seen = observed.find((entry) => entry.backend === backend);
        const text = `${percent(seen?.share ?? 0)} ± ${percent(seen?.margin ?? 0)}`;
        const observedText =
          total === 0 ? paint.dim('not seen yet') : seen?.within === false ? paint.bad(text) : paint.good(text);
        return [
          `  ${backend}`,
          `weight ${weight}`,
          `wanted ${percent(share)}`,
          `observed ${observedText}`,
          excluded ?? '',
        ];
      }),
    ),
  ]);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function podLines(pods: MeshPicture['pods'], paint: Paint, columns: number): readonly string[] {
  if (pods.length === 0) return [paint.dim('no pods yet')];
  const rows = pods.map(({ plan, status }) => [
    `${plan.namespace}/${plan.name}`,
    status.ready ? paint.good(stateOf(status)) : paint.bad(stateOf(status)),
    status.addresses.map(({ url }) => url).join(' '),
    messageOf(status),
  ]);
  return toTable([heading(['POD', 'STATE', 'ADDRESS', ''], paint), ...rows], columns);
}

/** One word, and how often it was restarted. */
export function stateOf({ ready, phase, stopping, inits, containers, sidecar }: PodStatus): string {
  const all = [...inits, ...containers, ...(sidecar ? [sidecar] : [])];
  const restarts = all.reduce((sum, container) => sum + container.restarts, 0);
  const again = restarts === 0 ? '' : ` (${plural(restarts, 'restart')})`;
  if (stopping && phase === 'Running') return 'Stopping';
  if (ready) return `Ready${again}`;
  // The sidecar of a pod that is done is ended by us.
  if (phase === 'Succeeded' || phase === 'Failed') return `${phase}${again}`;
  const crashed = all.find(({ state, reason }) => state === 'terminated' && reason !== 'Completed');
  if (crashed) return `${inits.includes(crashed) ? 'Init:' : ''}${crashed.reason}${again}`;
  const done = inits.filter(({ reason }) => reason === 'Completed').length;
  if (phase === 'Pending' && done < inits.length) return `Init:${done}/${inits.length}${again}`;
  return `${phase === 'Running' ? 'Not ready' : phase}${again}`;
}

export function messageOf({ ready, inits, containers, sidecar }: PodStatus): string {
  if (ready) return '';
  const all = [...inits.filter(({ reason }) => reason !== 'Completed'), ...containers, ...(sidecar ? [sidecar] : [])];
  const speaking = all.find(({ message }) => message !== '');
  return speaking ? `${speaking.name}: ${speaking.message}` : '';
}

/** First, since a terminal may have too few lines for all, and whole: the end of a problem is its fix. */
function problemLines({ problems, analyze }: MeshPicture, paint: Paint, columns: number): readonly string[] {
  const told = problems.filter(({ severity }) => severity !== 'info');
  const notes = problems.length - told.length;
  const lines = told
    .slice(0, problemsShown)
    .flatMap((problem) => wrap(toProblemLine(problem), columns).map((line) => paint.bad(line)));
  if (told.length > problemsShown) lines.push(paint.bad(`and ${told.length - problemsShown} more: see the page`));
  if (told.length > 0 && analyze !== undefined) lines.push(paint.dim(`${analyze} tells what else is likely not meant`));
  if (notes > 0) lines.push(paint.dim(`${plural(notes, 'note')} on what plays no part here: see the page`));
  if (told.length > 0) lines.unshift(paint.strong(plural(told.length, 'problem')));
  return lines.length === 0 ? [] : [...lines, ''];
}

function heading(names: readonly string[], paint: Paint): readonly string[] {
  return names.map((name) => paint.dim(name));
}
