import type { Cluster, RequestOptions } from './cluster.ts';
import { ClusterError } from './cluster-error.ts';

type Json = Record<string, unknown>;
interface Stored extends Json {
  metadata: { name: string; resourceVersion: string; uid: string } & Json;
}

/** Objects by path, written as an API server writes them: versions, preconditions, three kinds of patches. */
export interface WrittenObjects {
  readonly cluster: Cluster;
  readonly objects: Map<string, Stored>;
  /** `PATCH /api/v1/…`, in order. */
  readonly requests: string[];
  /** Each request is put to it first; what it throws is the answer, after it was served when it says so. */
  fault: ((method: string, path: string) => { error: Error; isServed?: boolean } | undefined) | undefined;
}

const fail = (status: number, reason: string, path: string): never => {
  throw new ClusterError(status, reason, `${path}: ${reason}`);
};

export function createWrittenObjects(): WrittenObjects {
  const objects = new Map<string, Stored>();
  let version = 0;

  function store(path: string, object: Json, before?: Stored): Stored {
    const { metadata, ...rest } = object as { metadata: Json } & Json;
    const uid = before?.metadata.uid ?? `uid-${(version += 1)}`;
    const text = JSON.stringify({ ...rest, metadata: { ...metadata, uid, resourceVersion: '' } });
    const same =
      before && JSON.stringify({ ...before, metadata: { ...before.metadata, resourceVersion: '' } }) === text;
    const stored = JSON.parse(text) as Stored;
    stored.metadata.resourceVersion = same === true ? before.metadata.resourceVersion : String((version += 1));
    objects.set(path, stored);
    return stored;
  }

  function serve(method: string, path: string, { body = {}, contentType }: RequestOptions): unknown {
    const before = objects.get(path);
    const given = body as { metadata?: Json } & Json;
    if (method === 'PATCH' && contentType === 'application/apply-patch+yaml') {
      return store(path, merge(before ?? {}, given), before);
    }
    if (!before) return fail(404, 'NotFound', path);
    const wanted = given.metadata?.['resourceVersion'];
    if (wanted !== undefined && wanted !== before.metadata.resourceVersion) fail(409, 'Conflict', path);
    switch (method) {
      case 'GET':
        return before;
      case 'PUT':
        return store(path, given, before);
      case 'DELETE':
        objects.delete(path);
        return {};
      default:
        return store(
          path,
          contentType === 'application/json-patch+json' ? change(before, body, path) : merge(before, given),
          before,
        );
    }
  }

  const written: WrittenObjects = {
    objects,
    requests: [],
    fault: undefined,
    cluster: {
      server: 'https://fake',
      namespace: 'default',
      async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
        await Promise.resolve();
        written.requests.push(`${method} ${path}`);
        const fault = written.fault?.(method, path);
        if (fault?.isServed === true) serve(method, path, options);
        if (fault) throw fault.error;
        return JSON.parse(JSON.stringify(serve(method, path, options))) as T;
      },
      openStream: () => {
        throw new Error('not served here');
      },
      close: () => undefined,
    },
  };
  return written;
}

function merge(before: Json, patch: Json): Json {
  const result: Json = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (typeof value === 'object' && !Array.isArray(value))
      result[key] = merge((before[key] ?? {}) as Json, value as Json);
    else result[key] = value;
  }
  return result;
}

function change(before: Stored, operations: unknown, path: string): Json {
  const copy = JSON.parse(JSON.stringify(before)) as Json;
  for (const { op, path: pointer, value } of operations as { op: string; path: string; value: unknown }[]) {
    const keys = pointer.split('/').slice(1);
    const last = keys.pop() ?? '';
    const parent = keys.reduce<Json>((object, key) => object[key] as Json, copy);
    if (op === 'test' && parent[last] !== value) fail(422, 'Invalid', path);
    if (op === 'add') parent[last] = value;
  }
  return copy;
}
