import type { RawObject } from '../../catalog/snapshot.ts';
import type { ResourceRef } from '../../problem/problem.ts';
import { createReader, isJsonObject, type JsonObject, type ObjectReader, pointer } from '../../smi/reader.ts';
import { groupOf } from './kinds.ts';
import type { YamlDocument } from './yaml-documents.ts';

/** One object of a document; a List gives several. */
export interface SourceObject {
  readonly raw: RawObject;
  /** What it is called, whatever its version: group, kind, namespace, name. */
  readonly key: string;
  /** JSON pointer of the object in its document: `/items/3`. */
  readonly at: string;
}

export interface SourceObjects {
  readonly objects: readonly SourceObject[];
  /** What could not be taken, with its pointer in the document. */
  readonly problems: ObjectReader['problems'];
}

const clusterScoped = ['Namespace', 'Node', 'PersistentVolume', 'CustomResourceDefinition', 'ClusterRole'];

export interface Extractor {
  /**
   * Takes the objects out of a document: Lists are flattened, a namespace that is missing is filled in. An object that
   * says the same as one of the last round is that one, wherever it stands now.
   */
  objectsOf(document: YamlDocument): SourceObjects;
  /** Ends a round: these, by key, are the objects to compare the next ones with. */
  remember(objects: ReadonlyMap<string, SourceObject>): void;
}

export function createExtractor(defaultNamespace: string): Extractor {
  const known = new WeakMap<object, SourceObjects>();
  let last: ReadonlyMap<string, SourceObject> = new Map();

  function sameAsBefore(object: SourceObject): SourceObject {
    const before = last.get(object.key)?.raw;
    return before && JSON.stringify(before) === JSON.stringify(object.raw) ? { ...object, raw: before } : object;
  }

  return {
    objectsOf({ value }) {
      if (value === undefined) return { objects: [], problems: [] };
      if (!isJsonObject(value)) return extract(value, defaultNamespace);
      let result = known.get(value);
      if (result === undefined) {
        const { objects, problems } = extract(value, defaultNamespace);
        result = { objects: objects.map(sameAsBefore), problems };
        known.set(value, result);
      }
      return result;
    },
    remember(objects) {
      last = objects;
    },
  };
}

function keyOf({ apiVersion, kind, metadata }: RawObject): string {
  return [groupOf(apiVersion), kind, metadata.namespace, metadata.name].join('\n');
}

function extract(value: unknown, defaultNamespace: string): SourceObjects {
  const objects: SourceObject[] = [];
  const problems: ObjectReader['problems'] = [];

  function take(item: unknown, at: string): void {
    const resource = looseRef(item);
    const reader = createReader(resource);
    if (!isJsonObject(item)) {
      const message = 'this is no Kubernetes object, so it is passed over';
      reader.report(at, 'NotAnObject', message, 'write an object with apiVersion, kind and metadata');
    } else if (Array.isArray(item['items']) && resource.kind.endsWith('List')) {
      for (const [i, inner] of item['items'].entries()) take(inner, pointer(pointer(at, 'items'), i));
    } else {
      const raw = toRawObject(item, at, reader);
      if (raw) objects.push({ raw, key: keyOf(raw), at });
    }
    problems.push(...reader.problems);
  }

  take(value, '');
  return { objects, problems };

  function toRawObject(item: JsonObject, at: string, reader: ObjectReader): RawObject | undefined {
    const apiVersion = reader.text(item['apiVersion'], `${at}/apiVersion`);
    const kind = reader.text(item['kind'], `${at}/kind`);
    const metadata = reader.object(item['metadata'], `${at}/metadata`);
    const name = metadata && reader.text(metadata['name'], `${at}/metadata/name`);
    if (apiVersion === undefined || kind === undefined || metadata === undefined || name === undefined)
      return undefined;
    if (clusterScoped.includes(kind))
      return { ...item, apiVersion, kind, metadata: { ...metadata, name, namespace: '' } };
    const given = metadata['namespace'];
    // An empty one, as `namespace:` or Helm leaves it behind, is none.
    const isGiven = given !== undefined && given !== null && given !== '';
    const namespace = isGiven ? reader.text(given, `${at}/metadata/namespace`) : defaultNamespace;
    if (namespace === undefined) return undefined;
    return { ...item, apiVersion, kind, metadata: { ...metadata, name, namespace } };
  }
}

function looseRef(item: unknown): ResourceRef {
  const { apiVersion, kind, metadata } = isJsonObject(item) ? item : {};
  const { name, namespace } = isJsonObject(metadata) ? metadata : {};
  return {
    ...(typeof apiVersion === 'string' && { apiVersion }),
    kind: typeof kind === 'string' && kind !== '' ? kind : 'Document',
    namespace: typeof namespace === 'string' ? namespace : '',
    name: typeof name === 'string' ? name : '',
  };
}
