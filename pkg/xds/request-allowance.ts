import type { AdsServerLimits } from './server-limits.ts';

/** A token bucket: true as long as the client keeps to its rate. */
export function createAllowance(
  { requestBurst, requestsPerSecond }: Pick<AdsServerLimits, 'requestBurst' | 'requestsPerSecond'>,
  now: () => number,
): () => boolean {
  let left = requestBurst;
  let last = now();
  return () => {
    const at = now();
    left = Math.min(requestBurst, left + ((at - last) / 1000) * requestsPerSecond);
    last = at;
    left -= 1;
    return left >= 0;
  };
}
