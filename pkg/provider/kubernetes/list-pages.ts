import { isJsonObject, type JsonObject } from '../../smi/reader.ts';
import type { Cluster, QueryValues } from './cluster.ts';
import { ClusterError } from './cluster-error.ts';

const pageSize = 500;
const maxPages = 2_000;
const timeoutMs = 60_000;

export interface ListPage {
  readonly items: readonly unknown[];
  /** Of the first page: all pages show the same moment. */
  readonly version: string;
}

/**
 * Lists page by page, each given up before the next is asked for. A list whose pages expire on the way ends with a
 * ClusterError (410) and is to be begun again.
 */
export async function* listPages(
  cluster: Pick<Cluster, 'request'>,
  path: string,
  { query, signal }: { readonly query?: QueryValues | undefined; readonly signal?: AbortSignal | undefined } = {},
): AsyncIterable<ListPage> {
  let first: string | undefined;
  let next: string | undefined;
  for (let page = 0; page < maxPages; page++) {
    // Without a resourceVersion, for with one ("0") the API server answers from its cache and ignores the limit.
    const asked = { ...query, limit: pageSize, ...(next !== undefined && { continue: next }) };
    const answer = await cluster.request<unknown>('GET', path, { query: asked, timeoutMs, ...(signal && { signal }) });
    const { items, version, more } = decodeList(answer, path);
    first ??= version;
    yield { items, version: first };
    if (more === undefined) return;
    next = more;
  }
  throw new ClusterError(0, 'TooLarge', `GET ${path}: more than ${maxPages * pageSize} objects`);
}

/** What an object is known by, however much else is wrong with it. */
export function nameOf(
  raw: unknown,
):
  { readonly object: JsonObject; readonly namespace: string; readonly name: string; readonly uid: string } | undefined {
  if (!isJsonObject(raw) || !isJsonObject(raw['metadata'])) return undefined;
  const { name, namespace = '', uid = '' } = raw['metadata'];
  if (typeof name !== 'string' || typeof namespace !== 'string' || typeof uid !== 'string') return undefined;
  return { object: raw, namespace, name, uid };
}

function decodeList(
  answer: unknown,
  path: string,
): { readonly version: string; readonly more: string | undefined; readonly items: readonly unknown[] } {
  const metadata = isJsonObject(answer) && isJsonObject(answer['metadata']) ? answer['metadata'] : {};
  // Go writes an empty list as null.
  const items = isJsonObject(answer) ? (answer['items'] ?? []) : undefined;
  const { resourceVersion, continue: next } = metadata;
  if (!Array.isArray(items) || typeof resourceVersion !== 'string') {
    throw new ClusterError(0, 'Malformed', `GET ${path}: the answer is no list of Kubernetes`);
  }
  return { version: resourceVersion, more: typeof next === 'string' && next !== '' ? next : undefined, items };
}
