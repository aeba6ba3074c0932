import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type StatusObject,
} from '@grpc/grpc-js';
import { connect } from 'node:http2';
import { createSecureContext } from 'node:tls';
import {
  adsPaths,
  decodeDeltaResponse,
  decodeSotwResponse,
  type DeltaRequest,
  type DeltaResponse,
  encodeDeltaRequest,
  encodeSotwRequest,
  type SotwRequest,
  type SotwResponse,
} from '../../pkg/xds/discovery.ts';
import { type FeatureMesh, until } from './feature-mesh.ts';

/** A client that does only what a test tells it to: no answer of its own, no reconnecting. */
export interface RawClient {
  readonly delta: readonly DeltaResponse[];
  readonly sotw: readonly SotwResponse[];
  /** How the stream ended. */
  readonly status: () => StatusObject | undefined;
  send(request: Partial<DeltaRequest>): void;
  sendSotw(request: Partial<SotwRequest>): void;
  write(bytes: Buffer): void;
  /** Sends nothing more. */
  end(): void;
  /** Takes no more of what the server sends; the connection stays. */
  stopReading(): void;
  until(condition: () => boolean): Promise<void>;
  close(): void;
}

const identity = (bytes: Buffer): Buffer => bytes;

/** How a client knows the control plane. */
export function asControlPlane({ authority }: FeatureMesh): { secure: ChannelCredentials; options: ChannelOptions } {
  const name = 'controller.tulle';
  const options = { 'grpc.ssl_target_name_override': name, 'grpc.use_local_subchannel_pool': 1 };
  return {
    secure: credentials.createFromSecureContext(createSecureContext({ ca: authority.bundle() })),
    options: { ...options, 'grpc.default_authority': name },
  };
}

/** A client of HTTP/2 that asks for something and lets not one byte of an answer through. `halfClosed`: nor asks for more. */
export async function openStuckClient(
  mesh: FeatureMesh,
  account: string,
  typeUrl: string,
  halfClosed = false,
): Promise<{ readonly isOpen: () => boolean; close(): void }> {
  const [namespace = '', serviceAccount = ''] = account.split('/');
  const session = connect(`https://${mesh.address}`, {
    ...{ ca: mesh.authority.bundle(), servername: 'controller.tulle' },
    settings: { initialWindowSize: 0 },
  });
  session.on('error', () => undefined);
  const token = await mesh.token({ namespace, serviceAccount });
  const headers = { 'content-type': 'application/grpc', te: 'trailers', authorization: `Bearer ${token}` };
  const stream = session.request({ ':method': 'POST', ':path': adsPaths.delta, ...headers });
  stream.on('error', () => undefined);
  const none = { unsubscribe: [], initialVersions: new Map<string, string>(), nonce: '' };
  const message = encodeDeltaRequest({ typeUrl, subscribe: ['*'], ...none });
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.write(Buffer.concat([prefix, message]));
  if (halfClosed) stream.end();
  return { isOpen: () => !session.closed, close: () => session.destroy() };
}

export async function openRawClient(
  mesh: FeatureMesh,
  account: string,
  protocol: 'delta' | 'sotw' = 'delta',
): Promise<RawClient> {
  const [namespace = '', serviceAccount = ''] = account.split('/');
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${await mesh.token({ namespace, serviceAccount })}`);
  const { secure, options } = asControlPlane(mesh);
  const client = new Client(mesh.address, secure, options);
  const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    adsPaths[protocol],
    identity,
    identity,
    metadata,
  );
  const delta: DeltaResponse[] = [];
  const sotw: SotwResponse[] = [];
  let status: StatusObject | undefined;
  stream.on('data', (bytes: Buffer) => {
    if (protocol === 'delta') delta.push(decodeDeltaResponse(bytes));
    else sotw.push(decodeSotwResponse(bytes));
  });
  stream.on('status', (ended) => {
    status = ended;
  });
  stream.on('error', () => undefined);
  const noDelta = {
    typeUrl: '',
    subscribe: [],
    unsubscribe: [],
    initialVersions: new Map<string, string>(),
    nonce: '',
  };
  const noSotw = { typeUrl: '', version: '', names: [], nonce: '' };
  return {
    delta,
    sotw,
    status: () => status,
    send: (request) => void stream.write(encodeDeltaRequest({ ...noDelta, ...request })),
    sendSotw: (request) => void stream.write(encodeSotwRequest({ ...noSotw, ...request })),
    write: (bytes) => void stream.write(bytes),
    end: () => void stream.end(),
    stopReading: () => void stream.pause(),
    until,
    close() {
      stream.cancel();
      client.close();
    },
  };
}
