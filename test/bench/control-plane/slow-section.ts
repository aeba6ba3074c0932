import { median, quantile } from '../processes.ts';
import { type Goal, type Section, toGoal, toText } from '../report.ts';
import type { MeshShape } from './mesh-files.ts';

/** What the other half of the proxies does. */
export type Others = 'none' | 'healthy' | 'mute' | 'slow' | 'stopped';

export interface SlowRun {
  /** Milliseconds to the last ACK of those that are watched: before the others join, meanwhile, and afterwards. */
  readonly alone: readonly number[];
  readonly joined: readonly number[];
  readonly settled: readonly number[];
  /** MiB of the server, for each of the others. */
  readonly cost: { readonly rss: number; readonly live: number };
  /** Bytes that the kernel holds for each of the others. */
  readonly held: number;
  /** MiB that live more after further changes, for each of the others. */
  readonly grown: number;
  /** Of the others, at the end. */
  readonly connected: number;
  /** Bytes that each of the others got when it joined. */
  readonly answered: number;
}

const names: Readonly<Record<Others, string>> = {
  none: 'nobody else',
  healthy: 'read and acknowledge',
  mute: 'read, never acknowledge',
  slow: 'read 16 KiB a second',
  stopped: 'read nothing: the window is closed',
};

export function toSlowSection(results: ReadonlyMap<Others, readonly SlowRun[]>, shape: MeshShape): Section {
  const half = shape.proxies / 2;
  const all = (kind: Others, field: 'alone' | 'joined' | 'settled'): number[] =>
    (results.get(kind) ?? []).flatMap((run) => run[field]);
  const of = (kind: Others, value: (run: SlowRun) => number): number => median((results.get(kind) ?? []).map(value));
  const answer = of('healthy', ({ answered }) => answered) / 1048576;
  const goals: Goal[] = [];
  const rows = [...results.keys()].map((kind) => {
    const slower = (of: Others): number => median(all(of, 'settled')) / median(all(of, 'alone'));
    const isSlow = kind !== 'none' && kind !== 'healthy';
    // Beyond what happens to a server that nobody joins.
    const rss = of(kind, ({ cost }) => cost.rss) - of('none', ({ cost }) => cost.rss);
    const live = of(kind, ({ cost }) => cost.live) - of('none', ({ cost }) => cost.live);
    if (isSlow) {
      const name = `others ${names[kind]}`;
      const limit = 0.4 + answer;
      goals.push(
        toGoal(
          `${name}: what the watched wait, ≤ 1.1 × as beside as many healthy ones`,
          slower(kind) / slower('healthy'),
          1.1,
          ' ×',
        ),
        toGoal(`${name}: RSS for each, ≤ ${toText(limit)} MiB: 0.4 and one whole answer`, rss, limit, ' MiB'),
        toGoal(
          `${name}: for each, after further changes, ≤ + 16 KiB`,
          of(kind, ({ grown }) => grown) * 1024,
          16,
          ' KiB',
        ),
      );
    }
    return [
      names[kind],
      toText(median(all(kind, 'alone'))),
      toText(median(all(kind, 'joined'))),
      toText(quantile(all(kind, 'joined'), 1)),
      toText(median(all(kind, 'settled'))),
      toText(quantile(all(kind, 'settled'), 0.99)),
      slower(kind).toFixed(2),
      isSlow ? (slower(kind) / slower('healthy')).toFixed(2) : '',
      ...(kind === 'none'
        ? ['', '', '', '', '']
        : [
            (rss * 1024).toFixed(0),
            (live * 1024).toFixed(0),
            (of(kind, ({ held }) => held) / 1024).toFixed(0),
            (of(kind, ({ grown }) => grown) * 1024).toFixed(1),
            of(kind, ({ connected }) => connected).toFixed(0),
          ]),
    ];
  });
  return {
    title: 'Control plane: slow proxies',
    text: `${shape.services} services that everybody sees, ${half} proxies that are watched, and ${half} others, over TLS with tokens. Milliseconds from the rename of a file (a weight) to the last ACK of the watched ones, changes one after the other: before the others join, meanwhile, and afterwards; *healthy*: the same ratio beside others that read and acknowledge. Then what each of the others costs the server, in KiB, beyond what a server costs that nobody joins: RSS and what lives after garbage was collected, what the kernel holds in its buffers, and what lives more after further changes. A whole answer for one proxy is ${toText(answer)} MiB; the others that are slow let the server send 16 MiB without being asked, as Envoy does.`,
    heads: [
      ...[
        'others',
        'last, before',
        'while they join',
        'worst',
        'afterwards',
        'p99',
        'afterwards / before',
        '/ healthy',
      ],
      ...['RSS each', 'live each', 'in the kernel', 'grows by', 'connected'],
    ],
    rows,
    goals,
  };
}
