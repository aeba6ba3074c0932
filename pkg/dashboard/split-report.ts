import type { CallLog } from '../observability/call-log.ts';
import type { MeshView, SplitState, WantedShare } from './mesh-view.ts';

/** A TrafficSplit as wanted and as observed: a member of `splits` in `GET /api/mesh`. */
export interface SplitReport {
  readonly split: string;
  readonly root: string;
  readonly wanted: readonly (WantedShare & { readonly share: number })[];
  readonly observed: readonly ObservedReport[];
  /** Requests that were split since the weights last changed. */
  readonly total: number;
  /** When they last changed, milliseconds since 1970; 0: not since the start. */
  readonly since: number;
}

export interface ObservedReport {
  readonly backend: string;
  readonly requests: number;
  readonly share: number;
  /** Half the width of the 95 % interval of the share. */
  readonly margin: number;
  /** Within five standard deviations of what is wanted, the bound that `tulle demo` holds itself to. */
  readonly within: boolean;
}

/** A changed weight is in force in all sidecars within this. */
const settleMs = 1_000;
const sigmas = 5;

export interface SplitWatch {
  reports(): SplitReport[];
}

/** Counts the requests of every split anew when its weights change. */
export function createSplitWatch(view: MeshView, calls: CallLog, now: () => number, signal: AbortSignal): SplitWatch {
  const known = new Map<string, { readonly wanted: string; readonly since: number }>();

  function watch(): void {
    const { splits } = view.state();
    const names = new Set(splits.map(({ split }) => split));
    for (const name of known.keys()) if (!names.has(name)) known.delete(name);
    for (const { split, wanted } of splits) {
      const text = JSON.stringify(wanted);
      const before = known.get(split);
      if (before?.wanted === text) continue;
      const since = before === undefined ? 0 : now();
      known.set(split, { wanted: text, since });
      if (before !== undefined) calls.resetShares(split, since + settleMs);
    }
  }

  watch();
  signal.addEventListener('abort', view.subscribe(watch));
  return {
    reports: () => view.state().splits.map((split) => toReport(split, calls, known.get(split.split)?.since ?? 0)),
  };
}

function toReport({ split, root, wanted }: SplitState, calls: CallLog, since: number): SplitReport {
  const sum = wanted.reduce((total, { weight, excluded }) => total + (excluded === undefined ? weight : 0), 0);
  const shareOf = ({ weight, excluded }: WantedShare): number => (excluded === undefined && sum > 0 ? weight / sum : 0);
  const shares = calls.shares(split);
  const total = shares.reduce((all, { requests }) => all + requests, 0);
  const backends = [...new Set([...wanted, ...shares].map(({ backend }) => backend))];
  return {
    split,
    root,
    since,
    total,
    wanted: wanted.map((item) => ({ ...item, share: shareOf(item) })),
    observed: backends.map((backend) => {
      const expected = wanted.filter((item) => item.backend === backend).reduce((all, item) => all + shareOf(item), 0);
      const requests = shares.find((item) => item.backend === backend)?.requests ?? 0;
      return { backend, requests, ...judgeShare(expected, requests, total) };
    }),
  };
}

/** How near an observed share is to the expected one, as a draw of independent requests. */
export function judgeShare(
  expected: number,
  requests: number,
  total: number,
): { share: number; margin: number; within: boolean } {
  if (total === 0) return { share: 0, margin: 0, within: true };
  const share = requests / total;
  const deviation = Math.sqrt((expected * (1 - expected)) / total);
  return {
    share,
    margin: 1.96 * Math.sqrt((share * (1 - share)) / total),
    within: Math.abs(share - expected) <= sigmas * deviation + 1e-9,
  };
}
