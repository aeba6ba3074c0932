import { isJsonObject } from '../../smi/reader.ts';

/** Labels, annotations, data: the entries that are text; empty for anything that isn't an object. */
export function textMap(value: unknown): Readonly<Record<string, string>> {
  if (!isJsonObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
