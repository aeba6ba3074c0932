import type { AdsLimits } from './ads-limits.ts';
import { createAdsStream, type AdsEvent, type AdsProtocol, type AdsStream } from './ads-stream.ts';
import {
  decodeAny,
  decodeDeltaResponse,
  decodeSotwResponse,
  type DeltaRequest,
  encodeDeltaRequest,
  encodeSotwRequest,
  type SotwRequest,
} from './discovery.ts';
import { toEncodedResource, toResourceView } from './encode.ts';
import { createResponseEncoder } from './response-encoder.ts';
import type { ResourceView } from './resources.ts';

/** A view of resources given as name and content. */
function viewOf(typeUrl: string, contents: Readonly<Record<string, string>>): ResourceView {
  return toResourceView(
    Object.entries(contents).map(([name, content]) => toEncodedResource(name, typeUrl, Buffer.from(content))),
  );
}

/** A response as tests compare it: resources as `name=content`. */
export interface ReadResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly version: string;
  readonly resources: readonly string[];
  readonly versions: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

export interface StreamUnderTest {
  readonly stream: AdsStream;
  /** Replaces what the server has of a type; undefined: it serves it no more. */
  set(typeUrl: string, contents: Readonly<Record<string, string>> | undefined): void;
  delta(request: Partial<DeltaRequest>): AdsEvent;
  sotw(request: Partial<SotwRequest>): AdsEvent;
  next(): ReadResponse | undefined;
  /** The next response, acknowledged at once. */
  take(): ReadResponse | undefined;
  /** Names of the types of all responses until nothing is due, each acknowledged. */
  drain(): ReadResponse[];
}

export function openStream(protocol: AdsProtocol, limits?: AdsLimits): StreamUnderTest {
  const views = new Map<string, ResourceView>();
  /** State of the world: what the client asked for last, which it repeats with each answer. */
  const namesOf = new Map<string, readonly string[]>();
  const stream = createAdsStream({
    protocol,
    view: (typeUrl) => views.get(typeUrl),
    encoder: createResponseEncoder(),
    now: () => 0,
    ...(limits ? { limits } : {}),
  });

  function read(bytes: Buffer): ReadResponse {
    if (protocol === 'sotw') {
      const { typeUrl, nonce, version, resources } = decodeSotwResponse(bytes);
      const contents = resources.map((any) => decodeAny(any).value.toString());
      return { typeUrl, nonce, version, resources: contents, versions: new Map(), removed: [] };
    }
    const { typeUrl, nonce, resources, removed } = decodeDeltaResponse(bytes);
    const contents = resources.map(({ name, any }) => `${name}=${decodeAny(any).value.toString()}`);
    const versions = new Map(resources.map(({ name, version }) => [name, version]));
    return { typeUrl, nonce, version: '', resources: contents, versions, removed };
  }

  const test: StreamUnderTest = {
    stream,
    set(typeUrl, contents) {
      if (contents) views.set(typeUrl, viewOf(typeUrl, contents));
      else views.delete(typeUrl);
    },
    delta: (request) => stream.receive(encodeDeltaRequest({ ...noDelta, ...request })),
    sotw(request) {
      if (request.typeUrl !== undefined && request.names) namesOf.set(request.typeUrl, request.names);
      return stream.receive(encodeSotwRequest({ ...noSotw, ...request }));
    },
    next() {
      const body = stream.next();
      return body && read(body.bytes);
    },
    take() {
      const response = test.next();
      if (!response) return undefined;
      const { typeUrl, nonce, version } = response;
      if (protocol === 'delta') test.delta({ typeUrl, nonce });
      else test.sotw({ typeUrl, nonce, version, names: namesOf.get(typeUrl) ?? [] });
      return response;
    },
    drain() {
      const all: ReadResponse[] = [];
      for (let response = test.take(); response; response = test.take()) all.push(response);
      return all;
    },
  };
  return test;
}

const noDelta: DeltaRequest = { typeUrl: '', subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: '' };
const noSotw: SotwRequest = { typeUrl: '', version: '', names: [], nonce: '' };
