import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Cluster, createCluster } from './cluster.ts';

export interface FakeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly headers: IncomingMessage['headers'];
}

interface Stored {
  readonly version: number;
  readonly object: FakeObject;
}

interface Collection {
  readonly apiVersions: readonly string[];
  readonly kind: string;
  readonly objects: Map<string, Stored>;
  readonly events: { readonly version: number; readonly type: string; readonly object: FakeObject }[];
  readonly watchers: Set<Watcher>;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly apiVersion: string;
  readonly namespace: string | undefined;
  isStalled: boolean;
}

type Answer = (request: FakeRequest, response: ServerResponse) => void;

/** An API server in as far as reading and watching goes, that fails as real ones and the networks before them do. */
export interface FakeApiServer {
  readonly url: string;
  readonly cluster: Cluster;
  readonly requests: readonly FakeRequest[];
  /** Makes a kind known: `install('split.smi-spec.io', ['v1alpha2'], 'TrafficSplit', 'trafficsplits')`. */
  install(group: string, versions: readonly string[], kind: string, plural: string): void;
  uninstall(group: string, plural: string): void;
  /** Creates or changes; what is given is what is read, but for apiVersion, uid and resourceVersion. */
  apply(plural: string, object: FakeObject): void;
  /** `silently`: no watcher is told. */
  remove(plural: string, key: string, options?: { readonly silently?: boolean }): void;
  /** Everything that watches now and everything up to now is forgotten: what asks for it is told 410. */
  forgetHistory(how: 'status' | 'event'): void;
  /** All that there is of a kind. */
  list(plural: string): readonly FakeObject[];
  /** What is next asked of a path, so many times, is answered otherwise. */
  interpose(path: string, answer: Answer, times?: number): void;
  /** Ends the watches of a kind: `end` as after the time-out, `reset` as a network does. */
  breakWatches(plural: string, how: 'end' | 'reset'): void;
  /** Watches of a kind stay open and say nothing any more. */
  stallWatches(plural: string): void;
  /** Sends text to all that watch a kind, as it is. */
  sendRaw(plural: string, text: string): void;
  bookmark(plural: string): void;
  /** Resolves when so many watch a kind. */
  watched(plural: string, count?: number): Promise<void>;
  close(): Promise<void>;
}

export async function startFakeApiServer(): Promise<FakeApiServer> {
  const collections = new Map<string, Collection>();
  const requests: FakeRequest[] = [];
  const interposed: { readonly path: string; readonly answer: Answer; left: number }[] = [];
  const pages = new Map<string, { readonly rest: readonly FakeObject[]; readonly version: number }>();
  const waiting = new Set<() => void>();
  let version = 100;
  let forgotten = 0;
  let expiry: 'status' | 'event' = 'status';
  let uids = 0;

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const seen: FakeRequest = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        body: text === '' ? undefined : JSON.parse(text),
        headers: request.headers,
      };
      requests.push(seen);
      const other = interposed.find(({ path, left }) => path === seen.path && left > 0);
      if (other) {
        other.left -= 1;
        other.answer(seen, response);
      } else answer(seen, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  function answer({ method, path, query, body }: FakeRequest, response: ServerResponse): void {
    const groupOnly = /^\/apis\/([^/]+)$/.exec(path);
    const versionOnly = /^\/apis\/([^/]+\/[^/]+)$/.exec(path);
    const resource = /^\/(?:api|apis)\/((?:[^/]+\/)?v[^/]+)(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+))?$/.exec(
      path,
    );
    if (groupOnly) return discover(response, groupOnly[1] ?? '');
    if (versionOnly) return discoverVersion(response, versionOnly[1] ?? '');
    const [, apiVersion = '', namespace, plural = '', name] = resource ?? [];
    const collection = collections.get(plural);
    if (!collection?.apiVersions.includes(apiVersion)) return sendStatus(response, 404, 'NotFound', 'page not found');
    if (method !== 'GET')
      return write(plural, `${namespace ?? ''}/${name ?? ''}`, method, body as FakeObject, response);
    if (name !== undefined) {
      const stored = collection.objects.get(`${namespace ?? ''}/${name}`);
      if (!stored) return sendStatus(response, 404, 'NotFound', `${plural} "${name}" not found`);
      return sendJson(response, 200, seenAs(stored.object, apiVersion));
    }
    if (query.get('watch') === null) list(collection, apiVersion, namespace, query, response);
    else watch(collection, apiVersion, namespace, query, response);
  }

  /** Creating, and changing as a merge patch of the first level does. */
  function write(plural: string, at: string, method: string, body: FakeObject, response: ServerResponse): void {
    const { objects } = collectionOf(plural);
    const key = method === 'POST' ? `${body.metadata.namespace ?? ''}/${body.metadata.name}` : at;
    const before = objects.get(key)?.object;
    if (method === 'POST' && before)
      return sendStatus(response, 409, 'AlreadyExists', `${plural} "${key}" already exists`);
    if (method === 'PATCH' && !before) return sendStatus(response, 404, 'NotFound', `${plural} "${key}" not found`);
    fake.apply(plural, before ? { ...before, ...body, metadata: before.metadata } : body);
    sendJson(response, before ? 200 : 201, objects.get(key)?.object);
  }

  function discover(response: ServerResponse, group: string): void {
    const all = [...collections.values()].flatMap(({ apiVersions }) => apiVersions);
    const versions = [...new Set(all)].filter((apiVersion) => apiVersion.startsWith(`${group}/`));
    if (versions.length === 0) return sendStatus(response, 404, 'NotFound', 'page not found');
    sendJson(response, 200, {
      versions: versions.map((groupVersion) => ({ groupVersion, version: groupVersion.split('/')[1] })),
    });
  }

  function discoverVersion(response: ServerResponse, apiVersion: string): void {
    const found = [...collections].filter(([, { apiVersions }]) => apiVersions.includes(apiVersion));
    if (found.length === 0) return sendStatus(response, 404, 'NotFound', 'page not found');
    sendJson(response, 200, { resources: found.map(([name, { kind }]) => ({ name, kind })) });
  }

  function list(
    { objects, kind }: Collection,
    apiVersion: string,
    namespace: string | undefined,
    query: URLSearchParams,
    response: ServerResponse,
  ): void {
    const token = query.get('continue');
    const page = token === null ? undefined : pages.get(token);
    if (token !== null && page === undefined)
      return sendStatus(response, 410, 'Expired', 'the continue token is too old');
    const all = page?.rest ?? [...objects.values()].map(({ object }) => object).filter(isIn(namespace));
    const at = page?.version ?? version;
    const limit = Number(query.get('limit') ?? all.length);
    const rest = all.slice(limit);
    const next = rest.length > 0 ? `${at}-${rest.length}` : '';
    if (next !== '') pages.set(next, { rest, version: at });
    sendJson(response, 200, {
      kind: `${kind}List`,
      apiVersion,
      metadata: { resourceVersion: String(at), continue: next },
      items: all.slice(0, limit).map((object) => seenAs(object, apiVersion)),
    });
  }

  function watch(
    collection: Collection,
    apiVersion: string,
    namespace: string | undefined,
    query: URLSearchParams,
    response: ServerResponse,
  ): void {
    const from = Number(query.get('resourceVersion'));
    if (from < forgotten) {
      if (expiry === 'status') return sendStatus(response, 410, 'Expired', 'too old resource version');
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
      response.writeHead(200);
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      return;
    }
    const watcher = { response, apiVersion, namespace, isStalled: false };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const event of collection.events) if (event.version > from) send(watcher, event.type, event.object);
    collection.watchers.add(watcher);
    response.on('close', () => collection.watchers.delete(watcher));
    for (const check of waiting) check();
  }

  function send({ response, apiVersion, namespace, isStalled }: Watcher, type: string, object: FakeObject): void {
    if (isStalled || !isIn(namespace)(object)) return;
    response.write(`${JSON.stringify({ type, object: seenAs(object, apiVersion) })}\n`);
  }

  function collectionOf(plural: string): Collection {
    const collection = collections.get(plural);
    if (!collection) throw new Error(`nobody installed ${plural}`);
    return collection;
  }

  function record(collection: Collection, type: string, object: FakeObject): void {
    collection.events.push({ version, type, object });
    for (const watcher of collection.watchers) send(watcher, type, object);
  }

  const access = {
    server: url,
    namespace: 'default',
    credentials: () => Promise.resolve({ headers: { authorization: 'Bearer fake' } }),
    renew: () => undefined,
  };
  const cluster = createCluster(access);

  const fake: FakeApiServer = {
    url,
    cluster,
    requests,
    install(group, versions, kind, plural) {
      const apiVersions = versions.map((name) => (group === '' ? name : `${group}/${name}`));
      const before = collections.get(plural);
      const fresh = { objects: new Map(), events: [], watchers: new Set<Watcher>() };
      collections.set(plural, { ...(before ?? fresh), apiVersions, kind });
    },
    uninstall(_, plural) {
      for (const { response } of collectionOf(plural).watchers) response.end();
      collections.delete(plural);
    },
    apply(plural, object) {
      const collection = collectionOf(plural);
      const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
      const before = collection.objects.get(key);
      version += 1;
      const uid = before?.object.metadata['uid'] ?? `uid-${++uids}`;
      const metadata = { uid, ...object.metadata, resourceVersion: String(version), managedFields: [{ manager: 'x' }] };
      const stored = { ...object, metadata };
      collection.objects.set(key, { version, object: stored });
      record(collection, before ? 'MODIFIED' : 'ADDED', stored);
    },
    remove(plural, key, { silently = false } = {}) {
      const collection = collectionOf(plural);
      const stored = collection.objects.get(key);
      if (!stored) throw new Error(`there is no ${plural} ${key}`);
      collection.objects.delete(key);
      version += 1;
      const metadata = { ...stored.object.metadata, resourceVersion: String(version) };
      if (!silently) record(collection, 'DELETED', { ...stored.object, metadata });
    },
    forgetHistory(how) {
      version += 1;
      forgotten = version;
      expiry = how;
      pages.clear();
      for (const { events } of collections.values()) events.length = 0;
    },
    list: (plural) => [...collectionOf(plural).objects.values()].map(({ object }) => object),
    interpose: (path, other, times = 1) => interposed.push({ path, answer: other, left: times }),
    breakWatches(plural, how) {
      const { watchers } = collectionOf(plural);
      for (const watcher of [...watchers]) {
        const { response } = watcher;
        watchers.delete(watcher);
        if (how === 'end') response.end();
        else response.socket?.resetAndDestroy();
      }
    },
    stallWatches(plural) {
      for (const watcher of collectionOf(plural).watchers) watcher.isStalled = true;
    },
    sendRaw(plural, text) {
      for (const { response } of collectionOf(plural).watchers) response.write(text);
    },
    bookmark(plural) {
      version += 1;
      const collection = collectionOf(plural);
      const object = { kind: collection.kind, metadata: { resourceVersion: String(version) } };
      fake.sendRaw(plural, `${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    },
    watched: (plural, count = 1) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (collectionOf(plural).watchers.size < count) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    async close() {
      cluster.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return fake;
}

function isIn(namespace: string | undefined): (object: FakeObject) => boolean {
  return ({ metadata }) => namespace === undefined || metadata.namespace === namespace;
}

/** With conversion None an API server changes the version that an object shows, and nothing else. */
function seenAs(object: FakeObject, apiVersion: string): FakeObject {
  return { ...object, apiVersion };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

export function sendStatus(response: ServerResponse, code: number, reason: string, message: string): void {
  sendJson(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message });
}
