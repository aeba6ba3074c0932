/** A weight as written, exactly: `digits` × 10^`exponent`. */
export interface ExactWeight {
  readonly digits: bigint;
  readonly exponent: number;
}

const decimalSuffixes: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const binarySuffixes = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** Reads a JSON number or a Kubernetes Quantity: `1`, `"500m"`, `"0.5"`, `"1e3"`, `"2Ki"`. Undefined: it is neither, or negative. */
export function parseWeight(value: unknown): ExactWeight | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? parseWeight(String(value)) : undefined;
  if (typeof value !== 'string' || value.length > 40) return undefined;
  const parts = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3})|([A-Za-z]{1,2}))?$/.exec(value);
  if (!parts) return undefined;
  const [, sign, whole = '', fraction = '', exponent, suffix = ''] = parts;
  if (whole + fraction === '') return undefined;
  let digits = BigInt(whole + fraction);
  let scale = -fraction.length;
  if (exponent !== undefined) {
    scale += Number(exponent);
  } else if (binarySuffixes.includes(suffix)) {
    digits *= 1024n ** BigInt(binarySuffixes.indexOf(suffix) + 1);
  } else {
    const power = Object.hasOwn(decimalSuffixes, suffix) ? decimalSuffixes[suffix] : undefined;
    if (power === undefined) return undefined;
    scale += power;
  }
  if (sign === '-' && digits !== 0n) return undefined;
  if (digits === 0n) return { digits, exponent: 0 };
  if (scale < -30 || scale > 30) return undefined;
  while (scale < 0 && digits % 10n === 0n) {
    digits /= 10n;
    scale++;
  }
  return { digits, exponent: scale };
}

export function isWhole(weight: ExactWeight): boolean {
  return weight.exponent >= 0;
}

/** The most that one weight may be: the sum of a few thousand stays an exact number, and fits Envoy's 32 bits for any usual split. */
export const maxWeight = 1_000_000_000;

/**
 * Turns weights into integers in the same proportion: whole numbers stay as they are, fractions are multiplied by the
 * smallest common factor. Nothing is rounded (DECISIONS S1, S9): `1` and `500m` give 2 and 1. Undefined in the place
 * of a weight that is still above `maxWeight`.
 */
export function scaleWeights(weights: readonly ExactWeight[]): readonly (number | undefined)[] {
  const shift = Math.max(0, ...weights.map(({ exponent }) => -exponent));
  const scaled = weights.map(({ digits, exponent }) => digits * 10n ** BigInt(exponent + shift));
  const tooLarge = scaled.some((weight) => weight > BigInt(maxWeight));
  const divisor = shift > 0 || tooLarge ? scaled.reduce(greatestCommonDivisor, 0n) || 1n : 1n;
  return scaled.map((weight) => (weight / divisor <= BigInt(maxWeight) ? Number(weight / divisor) : undefined));
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestCommonDivisor(b, a % b);
}
