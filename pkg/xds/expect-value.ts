/** What a value of JSON must be where it stands; whatever else is there is an error that names the place. */

export function expectObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw misfit(path, 'an object', value);
  return value as Record<string, unknown>;
}

export function expectList(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw misfit(path, 'a list', value);
  return value;
}

export function expectString(value: unknown, path: string): string {
  if (typeof value !== 'string') throw misfit(path, 'text', value);
  return value;
}

export function expectNumber(value: unknown, path: string): number {
  if (typeof value !== 'number') throw misfit(path, 'a number', value);
  return value;
}

/** Integers of 64 bits may come as text, as JSON can't hold them. */
export function expectInteger(value: unknown, min: bigint, max: bigint, path: string): bigint {
  const isInteger = typeof value === 'string' ? /^-?\d{1,20}$/.test(value) : Number.isSafeInteger(value);
  if (!isInteger) throw misfit(path, 'an integer', value);
  const number = BigInt(value as string | number);
  if (number < min || number > max) throw misfit(path, `an integer from ${min} to ${max}`, value);
  return number;
}

export function misfit(path: string, expected: string, value: unknown): Error {
  return new Error(`${path}: ${expected} expected, not ${JSON.stringify(value)?.slice(0, 80)}`);
}
