import { isJsonObject } from '../smi/reader.ts';

/** What stands at a place in JSON of somebody else; undefined where there is no such place. */
export function at(value: unknown, ...keys: readonly string[]): unknown {
  let found = value;
  for (const key of keys) found = isJsonObject(found) ? found[key] : undefined;
  return found;
}

export function textAt(value: unknown, ...keys: readonly string[]): string {
  const found = at(value, ...keys);
  return typeof found === 'string' ? found : '';
}

export function numberAt(value: unknown, ...keys: readonly string[]): number {
  const found = at(value, ...keys);
  return typeof found === 'number' ? found : 0;
}

export function listAt(value: unknown, ...keys: readonly string[]): readonly unknown[] {
  const found = at(value, ...keys);
  return Array.isArray(found) ? (found as unknown[]) : [];
}
