const smallestMs = 0.01;
const growth = 1.1;

/**
 * Durations in buckets that grow by a tenth: a quantile is right within 5 %, and what was counted can be taken back.
 * 0.01 ms to some hours take fewer than 250 buckets; only those in use are kept.
 */
export interface LatencyHistogram {
  readonly counts: Map<number, number>;
}

export function createLatencyHistogram(): LatencyHistogram {
  return { counts: new Map() };
}

/** Adds a duration, or takes it back with -1. */
export function countLatency({ counts }: LatencyHistogram, ms: number, amount: 1 | -1): void {
  const bucket = ms <= smallestMs ? 0 : Math.ceil(Math.log(ms / smallestMs) / Math.log(growth));
  const count = (counts.get(bucket) ?? 0) + amount;
  if (count > 0) counts.set(bucket, count);
  else counts.delete(bucket);
}

/** The duration in ms that a share `q` of all stays within; undefined when nothing was counted. */
export function latencyQuantile(histograms: readonly LatencyHistogram[], q: number): number | undefined {
  const total = new Map<number, number>();
  let sum = 0;
  for (const { counts } of histograms) {
    for (const [bucket, count] of counts) {
      total.set(bucket, (total.get(bucket) ?? 0) + count);
      sum += count;
    }
  }
  let rest = Math.max(1, Math.ceil(sum * q));
  for (const [bucket, count] of [...total].sort(([a], [b]) => a - b)) {
    rest -= count;
    // The middle of the bucket.
    if (rest <= 0) return smallestMs * growth ** (bucket - 0.5);
  }
  return undefined;
}
