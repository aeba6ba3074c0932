import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { type ChannelCredentials, Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js';
import { controllerName } from '../../../pkg/certs/workload-names.ts';
import { adsPaths, encodeDeltaRequest } from '../../../pkg/xds/discovery.ts';
import { secretType, tulleTypes } from '../../../pkg/xds/resources.ts';
import { WireReader } from '../../../pkg/xds/wire.ts';
import { answer } from '../answer.ts';
import type { ClientCredentials, ClientTarget, Collected, CollectTarget, Connected } from './client.ts';
import { accountOf } from './mesh-files.ts';

/** Proxies by the thousand: they subscribe as the Node sidecar does, acknowledge everything, and note when. */
const types = [secretType, ...Object.values(tulleTypes)];
const none = { subscribe: [], unsubscribe: [], initialVersions: new Map<string, string>(), nonce: '' };
const identity = (bytes: Buffer): Buffer => bytes;
const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6;

interface Link {
  readonly client: Client;
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
}

interface Versions {
  readonly set: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

/** Milliseconds, about. */
const backoff = 200;
const nothing: Versions = { set: new Map(), removed: [] };
/** A response is the same for all that get the same nonce: what it brings is read once. */
const contents = new Map<string, Versions>();
/** By proxy and type: the nonces of all that it got, which is what it has. */
const history: Map<string, string[]>[] = [];
const states = new Map<string, ReadonlyMap<string, string>>();
const requests = new Map<string, Buffer>();
let links = new Set<Link>();
let totals = { responses: 0, bytes: 0 };
let heard = { proxies: new Set<number>(), own: new Set<number>(), responses: 0, bytes: 0, acks: [] as number[] };
let lastAt = 0;
let failures: string[] = [];

function scan(message: Buffer): { typeUrl: string; nonce: string } {
  const reader = new WireReader(message);
  let [typeUrl, nonce] = ['', ''];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 4) typeUrl = reader.string();
    else if (field === 5) nonce = reader.string();
    else reader.skip();
  }
  return { typeUrl, nonce };
}

function versionsIn(message: Buffer): Versions {
  const reader = new WireReader(message);
  const set = new Map<string, string>();
  const removed: string[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 6) removed.push(reader.string());
    else if (field !== 2) reader.skip();
    else {
      const resource = new WireReader(reader.bytes());
      let [name, version] = ['', ''];
      for (let part = resource.next(); part !== 0; part = resource.next()) {
        if (part === 1) version = resource.string();
        else if (part === 3) name = resource.string();
        else resource.skip();
      }
      set.set(name, version);
    }
  }
  return { set, removed };
}

function stateOf(typeUrl: string, nonces: readonly string[]): ReadonlyMap<string, string> {
  const key = `${typeUrl} ${nonces.join(' ')}`;
  const known = states.get(key);
  if (known) return known;
  const state = new Map<string, string>();
  for (const nonce of nonces) {
    const { set, removed } = contents.get(`${typeUrl} ${nonce}`) ?? nothing;
    for (const [name, version] of set) state.set(name, version);
    for (const name of removed) state.delete(name);
  }
  states.set(key, state);
  return state;
}

function firstRequest(typeUrl: string, proxy: number, target: ClientTarget): Buffer {
  const nonces = target.known ? (history[proxy]?.get(typeUrl) ?? []) : [];
  // The first one of a stream says who the node is, and is the proxy's own.
  const isFirst = typeUrl === types[0];
  const key = `${typeUrl} ${nonces.join(' ')}`;
  const made = isFirst ? undefined : requests.get(key);
  if (made) return made;
  const node = {
    id: `pod-${proxy}`,
    cluster: '',
    userAgent: 'tulle-bench/1',
    metadata: { NAMESPACE: 'n', SERVICE_ACCOUNT: accountOf(target.shape, proxy), NAME: `pod-${proxy}` },
  };
  const request = encodeDeltaRequest({
    ...none,
    ...(isFirst ? { node } : {}),
    typeUrl,
    subscribe: typeUrl === secretType ? ['identity', 'roots'] : [],
    initialVersions: nonces.length > 0 ? stateOf(typeUrl, nonces) : none.initialVersions,
  });
  if (!isFirst) requests.set(key, request);
  return request;
}

interface Secured {
  readonly channel: ChannelCredentials;
  readonly tokens: readonly string[];
}

/** One context for all: a sidecar makes its own, on a processor of its own. No session is resumed. */
function toSecured({ roots, tokens }: ClientCredentials): Secured {
  const context = createSecureContext({ ca: readFileSync(roots), minVersion: 'TLSv1.3' });
  return {
    channel: credentials.createFromSecureContext(context),
    tokens: JSON.parse(readFileSync(tokens, 'utf8')) as string[],
  };
}

/** Connects all at once; resolves when each has an answer for each of its types, or after a time. */
function connect(target: ClientTarget): Promise<Connected> {
  const { port, shape, known, timeLimit, first = 0, count = shape.proxies } = target;
  const { comesBack = false, isMute = false, window } = target;
  const secured = target.credentials && toSecured(target.credentials);
  const start = monotonic();
  const done: number[] = [];
  totals = { responses: 0, bytes: 0 };
  failures = [];
  requests.clear();
  let again = 0;
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(late);
      resolve({ times: done, ...totals, missing: count - done.length, again, failures: failures.slice(0, 5) });
    };
    const late = setTimeout(finish, timeLimit);
    const join = (proxy: number): void => {
      const client = new Client(`127.0.0.1:${port}`, secured?.channel ?? credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
        'grpc.max_receive_message_length': -1,
        'grpc.enable_channelz': 0,
        ...(secured
          ? { 'grpc.ssl_target_name_override': controllerName, 'grpc.default_authority': controllerName }
          : {}),
        ...(window === undefined ? {} : { 'grpc-node.flow_control_window': window }),
      });
      const metadata = new Metadata();
      if (secured) metadata.set('authorization', `Bearer ${secured.tokens[proxy] ?? ''}`);
      const stream = client.makeBidiStreamRequest(adsPaths.delta, identity, identity, metadata);
      const link = { client, stream };
      links.add(link);
      const before = history[proxy] ?? new Map<string, string[]>();
      const own = known ? before : new Map<string, string[]>();
      history[proxy] = own;
      // Whoever has the secrets that it names is told nothing.
      const waiting = new Set(known ? types.slice(1) : types);
      stream.on('error', (error) => {
        if (!links.delete(link)) return;
        client.close();
        if (comesBack && waiting.size > 0 && monotonic() - start < timeLimit) {
          again += 1;
          setTimeout(() => join(proxy), backoff * (0.5 + Math.random()));
        } else failures.push(error.message);
      });
      stream.on('data', (message: Buffer) => {
        const { typeUrl, nonce } = scan(message);
        if (!isMute) stream.write(encodeDeltaRequest({ ...none, typeUrl, nonce }));
        const at = monotonic();
        lastAt = at;
        const content = `${typeUrl} ${nonce}`;
        if (!contents.has(content)) contents.set(content, versionsIn(message));
        const nonces = own.get(typeUrl) ?? [];
        own.set(typeUrl, [...nonces, nonce]);
        totals.responses += 1;
        totals.bytes += message.length;
        heard.responses += 1;
        heard.bytes += message.length;
        heard.proxies.add(proxy);
        if (typeUrl !== tulleTypes.directory) heard.own.add(proxy);
        heard.acks.push(at);
        if (!waiting.delete(typeUrl) || waiting.size > 0) return;
        done.push(at - start);
        if (done.length === count) finish();
      });
      for (const typeUrl of types) stream.write(firstRequest(typeUrl, proxy, target));
    };
    for (let proxy = first; proxy < first + count; proxy++) join(proxy);
  });
}

function disconnect(): void {
  const old = links;
  links = new Set();
  for (const { client, stream } of old) {
    stream.cancel();
    client.close();
  }
}

/** From now on everything counts for the next change. */
function arm(): void {
  heard = { proxies: new Set(), own: new Set(), responses: 0, bytes: 0, acks: [] };
  lastAt = 0;
}

/** Waits until nothing has come for a while after something came, or enough has, and says what did. */
async function collect({ quiet, timeLimit, responses: enough = Infinity }: CollectTarget): Promise<Collected> {
  const end = monotonic() + timeLimit;
  const isOver = (): boolean => lastAt !== 0 && (heard.responses >= enough || monotonic() - lastAt >= quiet);
  while (monotonic() < end && !isOver()) {
    await new Promise((resolve) => setTimeout(resolve, enough === Infinity ? 50 : 5));
  }
  const { proxies, own, responses, bytes, acks } = heard;
  return { proxies: [...proxies], own: [...own], responses, bytes, acks, failures: failures.slice(0, 5) };
}

answer({ connect, disconnect, arm, collect });
