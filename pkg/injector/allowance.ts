/** A token bucket: true as long as no more is asked than it lets through, at once and per second in the long run. */
export function createAllowance(burst: number, perSecond: number, now: () => number): () => boolean {
  let left = burst;
  let last = now();
  return () => {
    const at = now();
    left = Math.min(burst, left + ((at - last) / 1000) * perSecond);
    last = at;
    if (left < 1) return false;
    left -= 1;
    return true;
  };
}
