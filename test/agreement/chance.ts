import assert from 'node:assert/strict';

/** So seldom is a count wrong by chance alone: once in ten thousand million comparisons. */
const never = 1e-10;

/** Throws unless `count` of `total` may well be what comes of drawing lots with this share; 0 and 1 leave nothing to chance. */
export function holdShare(count: number, total: number, share: number, what: string): void {
  const said = `${what}: ${count} of ${total}, and the share is ${share}`;
  if (share < 1e-9) assert.equal(count, 0, said);
  else if (share > 1 - 1e-9) assert.equal(count, total, said);
  else {
    const below = tail(count, total, share);
    const above = tail(total - count, total, 1 - share);
    assert.ok(below > never && above > never, said);
  }
}

/** The chance that at most `count` of `total` fall to a share: the binomial distribution. */
function tail(count: number, total: number, share: number): number {
  let logChoose = 0;
  let sum = 0;
  for (let k = 0; k <= count; k++) {
    if (k > 0) logChoose += Math.log((total - k + 1) / k);
    sum += Math.exp(logChoose + k * Math.log(share) + (total - k) * Math.log(1 - share));
  }
  return sum;
}
