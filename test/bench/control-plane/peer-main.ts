import { type handleBidiStreamingCall, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { watch } from 'node:fs';
import { createMeshBuilder } from '../../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../../pkg/catalog/mesh-model.ts';
import { toOwnView } from '../../../pkg/control-plane/own-resources.ts';
import { runFilesProvider } from '../../../pkg/provider/files/run-files-provider.ts';
import { adsPaths, decodeDeltaRequest } from '../../../pkg/xds/discovery.ts';
import { toEncodedResource } from '../../../pkg/xds/encode.ts';
import { type EncodedResource, secretType, tulleTypes } from '../../../pkg/xds/resources.ts';
import { createResponseEncoder } from '../../../pkg/xds/response-encoder.ts';
import { WireReader } from '../../../pkg/xds/wire.ts';
import { answer, meter } from '../answer.ts';
import { toServerCredentials } from './credentials.ts';
import { meshFolder, type MeshShape, podFolder, toMeshConfig } from './mesh-files.ts';

/**
 * What the control plane is measured against: a grpc-js server that knows the bytes of every answer beforehand and does
 * nothing but send them. It sends a change when the file `go` appears in its folder.
 */
const [folder = '', goFolder = '', shapeText = '{}', credentials] = process.argv.slice(2);
const shape = JSON.parse(shapeText) as MeshShape;
const usage = meter();
const encoder = createResponseEncoder();
const builder = createMeshBuilder();
const types = Object.values(tulleTypes);
const secrets = ['identity', 'roots'].map((name) => toEncodedResource(name, secretType, Buffer.alloc(1_000)));

let model: MeshModel | undefined;
let answers: ReadonlyMap<string, Buffer>[] = [];
let changes: { readonly proxy: number; readonly bytes: Buffer }[] = [];
let read = (): void => undefined;
let reading = new Promise<void>((resolve) => (read = resolve));

const bytesOf = (typeUrl: string, changed: readonly EncodedResource[], removed: readonly string[]): Buffer[] =>
  encoder.delta({ typeUrl, changed, removed }).map(({ bytes }) => bytes);

function take(next: MeshModel): void {
  const before = model;
  model = next;
  changes = [];
  if (before) {
    for (let proxy = 0; proxy < shape.proxies; proxy++) {
      const [was, is] = [before, next].map(({ pods }) => pods.get(`n/pod-${proxy}`));
      for (const typeUrl of types) {
        const from = was && toOwnView(was, typeUrl);
        const to = is && toOwnView(is, typeUrl);
        if (!from || !to || from === to) continue;
        const { changed, removed } = encoder.diff(from, to);
        if (changed.length === 0 && removed.length === 0) continue;
        for (const bytes of bytesOf(typeUrl, changed, removed)) changes.push({ proxy, bytes });
      }
    }
  } else {
    const [secret = Buffer.alloc(0)] = bytesOf(secretType, secrets, []);
    answers = Array.from({ length: shape.proxies }, (_, proxy) => {
      const policy = next.pods.get(`n/pod-${proxy}`);
      const entries = types.map((typeUrl): [string, Buffer] => {
        const view = policy && toOwnView(policy, typeUrl);
        return [typeUrl, bytesOf(typeUrl, view ? encoder.listOf(view) : [], [])[0] ?? Buffer.alloc(0)];
      });
      return new Map([...entries, [secretType, secret]]);
    });
  }
  read();
  reading = new Promise<void>((resolve) => (read = resolve));
}

const empty = new Map([secretType, ...types].map((typeUrl) => [typeUrl, bytesOf(typeUrl, [], [])[0] as Buffer]));
const calls = new Map<number, ServerDuplexStream<Buffer, Buffer>>();
const identity = (bytes: Buffer): Buffer => bytes;

/** As little as can be known of a request: its type, and whether it brings versions or is an answer. */
function glance(message: Buffer): { typeUrl: string; knows: boolean; isAck: boolean } {
  const reader = new WireReader(message);
  let typeUrl = '';
  let [knows, isAck] = [false, false];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 2) typeUrl = reader.string();
    else if (field === 6) isAck = reader.bytes().length > 0;
    else {
      if (field === 5) knows = true;
      reader.skip();
    }
  }
  return { typeUrl, knows, isAck };
}

const server = new Server({ 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': 8 * 1024 * 1024 });
const serve: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  let proxy: number | undefined;
  call.on('data', (message: Buffer) => {
    if (proxy === undefined) {
      proxy = Number(decodeDeltaRequest(message).node?.metadata['NAME']?.slice('pod-'.length));
      calls.set(proxy, call);
    }
    const { typeUrl, knows, isAck } = glance(message);
    if (isAck) return;
    const bytes = knows ? empty.get(typeUrl) : answers[proxy]?.get(typeUrl);
    if (bytes) call.write(bytes);
  });
  call.on('end', () => call.end());
  call.on('error', () => undefined);
};
server.register(adsPaths.delta, serve, identity, identity, 'bidi');
const port = await new Promise<number>((resolve, reject) => {
  const security = credentials === undefined ? ServerCredentials.createInsecure() : toServerCredentials(credentials);
  server.bindAsync('127.0.0.1:0', security, (error, bound) => (error ? reject(error) : resolve(bound)));
});

watch(goFolder, (event) => {
  if (event !== 'rename') return;
  for (const { proxy, bytes } of changes) calls.get(proxy)?.write(bytes);
  changes = [];
});

const first = reading;
void runFilesProvider({
  inputs: [meshFolder(folder)],
  podDirs: [podFolder(folder)],
  config: toMeshConfig(shape),
  signal: new AbortController().signal,
  pollMs: 3_600_000,
  onSnapshot: (snapshot) => take(builder.build(snapshot).value),
});
await first;
let prepared = Promise.resolve();
answer({
  port: () => port,
  usage,
  /** The next change of the files is to be taken; `prepared` waits for it. */
  prepare: () => {
    prepared = reading;
  },
  prepared: () => prepared,
});
