import type { HubObject } from './hub.ts';
import { isJsonObject, type JsonObject, type ObjectReader, pointer } from './reader.ts';

/** Decodes what all kinds share. Undefined: it has no usable name. */
export function decodeMeta(raw: JsonObject, apiVersion: string, reader: ObjectReader): HubObject | undefined {
  const metadata = reader.object(raw['metadata'], '/metadata');
  const name = metadata && reader.objectName(metadata['name'], '/metadata/name');
  const namespace =
    metadata?.['namespace'] === undefined ? 'default' : reader.objectName(metadata['namespace'], '/metadata/namespace');
  if (metadata === undefined || name === undefined || namespace === undefined) return undefined;
  const createdAt = metadata['creationTimestamp'];
  return {
    apiVersion,
    namespace,
    name,
    labels: decodeTextMap(metadata['labels'], '/metadata/labels', reader),
    annotations: decodeTextMap(metadata['annotations'], '/metadata/annotations', reader),
    ...(typeof createdAt === 'string' && { creationTimestamp: createdAt }),
  };
}

/** Labels and annotations: an entry that isn't text is left out, with a problem. */
function decodeTextMap(value: unknown, field: string, reader: ObjectReader): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  const entries = Object.entries(reader.object(value, field) ?? {});
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => {
      if (typeof entry[1] === 'string') return true;
      reader.report(pointer(field, entry[0]), 'FieldInvalid', `"${entry[0]}" is not text`, 'put it in quotes');
      return false;
    }),
  );
}

/** Name and namespace of whatever came, for problems: never throws. */
export function looseName(raw: JsonObject): { namespace: string; name: string } {
  const metadata = isJsonObject(raw['metadata']) ? raw['metadata'] : {};
  const { name, namespace } = metadata;
  return {
    namespace: typeof namespace === 'string' ? namespace : 'default',
    name: typeof name === 'string' ? name : '',
  };
}
