import { median, quantile } from '../processes.ts';
import { type Goal, type Section, toGoal, toText } from '../report.ts';
import { type Engine, engineNames, engines, type Repetition, type Results, toName } from './results.ts';

/** What one line is made of: milliseconds of the proxies, CPU seconds. */
interface Sample {
  readonly p50: number;
  readonly p99: number;
  readonly last: number;
  readonly cpu: number;
  readonly pause: number;
  readonly bytes: number;
  readonly missing: number;
  readonly again: number;
}

const what = {
  cold: 'all connect',
  reconnect: 'all come back, with versions',
  weight: 'weight changed',
} as const;
type What = keyof typeof what;

/** Storms and one change over TLS, each beside the server that only sends bytes over the same TLS. */
export function toSecuredSection(results: Results): Section {
  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const [cell, byEngine] of results) {
    const { proxies } = cell.shape;
    const name = toName(cell);
    const of = (engine: Engine, kind: What, field: keyof Sample): number =>
      median(
        (byEngine.get(engine) ?? []).flatMap((repetition) => toSamples(repetition, kind)).map((each) => each[field]),
      );
    const settled = (engine: Engine): number =>
      median((byEngine.get(engine) ?? []).map((repetition) => repetition.settled));
    for (const kind of ['cold', 'reconnect', 'weight'] as const) {
      const ratio = of('tulle', kind, 'last') / of('peer', kind, 'last');
      for (const engine of engines) {
        rows.push([
          name,
          what[kind],
          engineNames[engine],
          ...(['p50', 'p99', 'last'] as const).map((field) => toText(of(engine, kind, field))),
          toText(of(engine, kind, 'cpu') * 1000),
          toText(of(engine, kind, 'pause')),
          toText(of(engine, kind, 'bytes') / proxies / 1024),
          of(engine, kind, 'missing').toFixed(0),
          of(engine, kind, 'again').toFixed(0),
          kind === 'cold' ? settled(engine).toFixed(0) : '',
          engine === 'tulle' ? toText(ratio) : '',
        ]);
      }
      goals.push(toGoal(`${name}, ${what[kind]}: last proxy, ≤ 2 × bytes only`, ratio, 2, ' ×'));
    }
    const limit = 120 + 0.4 * proxies;
    goals.push(toGoal(`${name}: settled, ≤ ${limit} MiB`, settled('tulle'), limit, ' MiB'));
  }
  return {
    title: 'Control plane: over TLS, with tokens',
    text: 'As sidecars connect: TLS 1.3 with the control plane’s certificate, one connection and one handshake for each proxy, and a token for each, which Tulle verifies. The server that only sends bytes has the same TLS, and verifies nothing. Milliseconds until each proxy has everything, or has acknowledged the change; medians. Certificates of the workloads are issued when all connect for the first time. *Made again*: connections that were cut off, and tried again as sidecars do. All proxies are in one process on the same two processors, and their half of each handshake is in the times of both servers.',
    heads: [
      ...['mesh', 'what', 'server', 'p50', 'p99', 'last', 'CPU ms', 'longest pause', 'KiB per proxy'],
      ...['incomplete', 'made again', 'settled MiB', 'ratio of last'],
    ],
    rows,
    goals,
  };
}

function toSamples(repetition: Repetition, kind: What): readonly Sample[] {
  if (kind === 'weight')
    return (repetition.changes.get('weight') ?? []).map((round) => ({ ...round, missing: 0, again: 0 }));
  const { times, cpu, pause, bytes, missing, again } = repetition[kind];
  return [
    { p50: median(times), p99: quantile(times, 0.99), last: quantile(times, 1), cpu, pause, bytes, missing, again },
  ];
}
