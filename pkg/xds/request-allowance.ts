import type { AdsServerLimits } from './server-limits.ts';

export interface Allowance {
  /** A request came, of so many bytes. False: the client asks for more than it may. */
  take(bytes?: number): boolean;
  /** It was sent so many bytes: a short request may be answered with all that there is. */
  charge(bytes: number): void;
}

/** A large request counts as one for each of so many bytes. */
const bytesOfOne = 4096;
/** As much of what it is sent counts as a request. */
const answeredOfOne = 65_536;

/** A token bucket: it lets through as long as the client keeps to its rate, of requests and of what they hold. */
export function createAllowance(
  { requestBurst, requestsPerSecond }: Pick<AdsServerLimits, 'requestBurst' | 'requestsPerSecond'>,
  now: () => number,
): Allowance {
  let left = requestBurst;
  let last = now();

  /** What there is to spend by now. */
  function gain(): number {
    const at = now();
    left = Math.min(requestBurst, left + ((at - last) / 1000) * requestsPerSecond);
    last = at;
    return left;
  }

  return {
    take(bytes = 0) {
      const count = 1 + Math.floor(bytes / bytesOfOne);
      // What is not let through costs nothing: a flood is over when it ends.
      if (gain() < count) return false;
      left -= count;
      return true;
    },
    charge(bytes) {
      left = gain() - bytes / answeredOfOne;
    },
  };
}
