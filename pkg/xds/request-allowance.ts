import type { AdsServerLimits } from './server-limits.ts';

/** A large request counts as one for each of so many bytes. */
const bytesOfOne = 4096;

/** A token bucket: true as long as the client keeps to its rate, of requests and of what they hold. */
export function createAllowance(
  { requestBurst, requestsPerSecond }: Pick<AdsServerLimits, 'requestBurst' | 'requestsPerSecond'>,
  now: () => number,
): (bytes?: number) => boolean {
  let left = requestBurst;
  let last = now();
  return (bytes = 0) => {
    const at = now();
    left = Math.min(requestBurst, left + ((at - last) / 1000) * requestsPerSecond);
    last = at;
    left -= 1 + Math.floor(bytes / bytesOfOne);
    return left >= 0;
  };
}
