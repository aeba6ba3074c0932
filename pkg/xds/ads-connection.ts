import { status as grpcStatus } from '@grpc/grpc-js';
import type { LogFields } from '../observability/logger.ts';
import type { Authentication, ClientName } from './ads-server.ts';
import { type AdsProtocol, type AdsTypeStatus, createAdsStream } from './ads-stream.ts';
import { toPeerAddress, tokenOf } from './call-peer.ts';
import { bounded, clip, decodeNodeOf, nobody } from './client-node.ts';
import type { ConnectionOptions } from './connection-options.ts';
import type { NodeInfo } from './node-info.ts';
import { createAllowance } from './request-allowance.ts';
import type { XdsClient } from './resources.ts';

/** Why a stream is ended. */
interface StreamRefusal {
  /** For the metric. */
  readonly kind: string;
  readonly code: grpcStatus;
  readonly reason: string;
  readonly message?: string;
  readonly more?: LogFields;
}

const exhausted = { code: grpcStatus.RESOURCE_EXHAUSTED };

/** One stream: drives an AdsStream over a gRPC call. */
export interface AdsConnection {
  /** Undefined until it has sent its first message. */
  readonly client: XdsClient | undefined;
  /** Whose it is; undefined until that is proven. */
  readonly name: ClientName | undefined;
  readonly protocol: AdsProtocol;
  readonly connectedSince: number;
  types(): readonly AdsTypeStatus[];
  /** Writes what is due, if the client takes it. */
  pump(): void;
  end(code: grpcStatus, reason: string): void;
}

/** A stream outlives its token by this: the renewed one comes with the next stream. */
const tokenGrace = 5 * 60_000;
const maxDelay = 2 ** 31 - 1;
/** A client that was given up may still read why. */
const cutDelay = 1_000;

export function openConnection(options: ConnectionOptions): AdsConnection {
  const { call, protocol, source, encoder, limits, metrics, log, now, budget, onStatus, onClose } = options;
  const connectedSince = now();
  const peer = call.getPeer();
  const allowance = createAllowance(limits, now);
  let client: XdsClient | undefined;
  /** Whose it is: counted among the streams of this client. */
  let counted: ClientName | undefined;
  /** What is counted of its names among those of its client. */
  let held = 0;
  let writing = false;
  let ended = false;
  /** It says nothing more, and has not read what it was written last. */
  let leaving = false;
  let left = (): void => undefined;
  let isGone = false;
  /** Everything of this state has been sent and nothing was asked since. */
  let settled: object | undefined;

  const stream = createAdsStream({
    protocol,
    view: (typeUrl) => (client ? source.view(client, typeUrl) : undefined),
    encoder,
    now,
    limits,
  });

  let firstRequest: NodeJS.Timeout | undefined;
  let expiry: NodeJS.Timeout | undefined;

  function end(code: grpcStatus, details: string): void {
    if (ended) return;
    close();
    call.emit('error', { code, details });
    // Reads on to the end, so that the call can finish, and heeds nothing of it.
    call.resume();
    cutUnread(cutDelay);
  }

  /** What it was written stays in memory until it is read: not for long. */
  function cutUnread(delay: number): void {
    if (writing) setTimeout(() => writing && !isGone && options.cut(), delay).unref();
  }

  /** It says nothing more. It is counted as long as something is held for it. */
  function finish(): void {
    leaving = writing && !ended;
    if (leaving) {
      // It may be slow, and honest.
      cutUnread(limits.stuck);
      return;
    }
    close();
    if (!isGone) call.end();
  }

  function close(): void {
    if (ended) return;
    ended = true;
    clearTimeout(firstRequest);
    clearTimeout(expiry);
    // The call may last until its client ends it.
    stream.close();
    weigh();
    if (counted) options.discount(counted);
    onClose();
  }

  /** False: its client has said too many names. */
  function weigh(): boolean {
    const more = stream.held() - held;
    if (more === 0 || !counted) return true;
    held += more;
    return options.hold(counted, more);
  }

  const nameOf = (): string => counted?.pod ?? counted?.identity ?? toPeerAddress(peer);

  /** Nothing is held for it any longer. */
  function gone(): void {
    isGone = true;
    left();
    close();
  }

  /** Ends a stream for what its client does, and tells of it. */
  function refuse({ kind, code, reason, message = 'ADS stream refused', more = {} }: StreamRefusal): void {
    if (ended) return;
    metrics.refused.inc({ reason: kind });
    options.refusals.tell({ message, reason, from: nameOf(), fields: { peer, ...who(), ...more } });
    end(code, reason);
  }

  /** It is known whose the stream is: it counts among those of its client. */
  function count(name: ClientName): boolean {
    // It may be known only when nobody is left to take it off again.
    if (ended) return false;
    if (counted) return true;
    if (options.admit(name)) {
      counted = name;
      return true;
    }
    refuse({ ...exhausted, kind: 'streams', reason: 'too many streams of one client', more: name });
    return false;
  }

  /** It does not read, and too much waits in all. */
  function giveUp(): void {
    if (ended) options.cut();
    refuse({ ...exhausted, kind: 'queued', reason: 'it does not read, and too much is queued for all clients' });
  }

  function pump(): void {
    try {
      writeNext();
    } catch (error) {
      fail(error);
    }
  }

  function writeNext(): void {
    if (writing || ended || !client) return;
    const state = source.stateOf?.(client);
    if ((state !== undefined && state === settled) || !budget.admit(pump)) return;
    const body = stream.next();
    weigh();
    settled = body ? undefined : state;
    if (!body) return;
    const { typeUrl: type } = body;
    metrics.responses.inc({ type });
    metrics.resources.inc({ type }, body.changed + body.removed);
    metrics.bytes.inc({ type }, body.bytes.length);
    allowance.charge(body.bytes.length);
    writing = true;
    // The next one is composed when this one has left: meanwhile nothing is queued, and changes only add to it.
    left = budget.spend(body.bytes.length, giveUp);
    call.write(body.bytes, () => {
      left();
      writing = false;
      if (leaving) finish();
      else pump();
    });
  }

  function receive(message: Buffer): void {
    settled = undefined;
    const event = stream.receive(message);
    if (!weigh() && event.kind !== 'refused') {
      refuse({ ...exhausted, kind: 'limit', reason: 'too many resource names of one client' });
      return;
    }
    switch (event.kind) {
      case 'refused':
        refuse({ ...exhausted, kind: 'limit', reason: event.reason });
        return;
      case 'nack':
        metrics.requests.inc({ type: event.typeUrl, kind: 'nack' });
        options.refusals.tell({
          ...{ message: 'proxy refused configuration', level: 'error', reason: event.message, from: nameOf() },
          fields: { ...who(), type: event.typeUrl, resources: event.names },
        });
        onStatus();
        break;
      case 'ack':
        metrics.requests.inc({ type: event.typeUrl, kind: 'ack' });
        metrics.ackSeconds.observe(event.milliseconds / 1000, { type: event.typeUrl });
        onStatus();
        break;
      case 'subscribed':
      case 'stale':
        metrics.requests.inc({ type: '', kind: event.kind });
        break;
    }
    pump();
  }

  const who = (): { client?: string; pod?: string; node?: string } => ({
    ...(client ? { client: client.identity, node: client.nodeId } : {}),
    ...(client?.pod === undefined ? {} : { pod: client.pod }),
  });

  /** Undefined: the stream was ended, for nobody knows whose it is. */
  async function authenticate(node: NodeInfo): Promise<(Authentication & { readonly ok: true }) | undefined> {
    const answer = await options.authenticate({ token: tokenOf(call), peer, node, onNamed: count });
    if (ended) return undefined;
    if (answer.ok) return answer;
    const { reason } = answer;
    const more = node.id === '' ? {} : { node: clip(node.id) };
    refuse({
      ...{ kind: 'unauthenticated', code: grpcStatus.UNAUTHENTICATED, reason },
      ...{ message: 'ADS client refused', more },
    });
    return undefined;
  }

  /** The first message says what the node is, and waits for the client to be authenticated. */
  async function begin(message: Buffer, known: (Authentication & { readonly ok: true }) | undefined): Promise<void> {
    const node = decodeNodeOf(message, protocol);
    const answer = known ?? (await authenticate(node));
    if (!answer) return;
    const metadata = bounded(node.metadata);
    const admitted = { ...answer.client, nodeId: clip(node.id), userAgent: clip(node.userAgent), metadata };
    if (!count(answer.client)) return;
    client = admitted;
    if (answer.expiresAt !== undefined) {
      const left = answer.expiresAt + tokenGrace - now();
      expiry = setTimeout(() => end(grpcStatus.UNAUTHENTICATED, 'the token expired'), Math.min(left, maxDelay));
    }
    if (options.mayTell()) log.info('proxy connected', { ...who(), protocol, userAgent: client.userAgent });
    receive(message);
    onStatus();
    if (!ended) call.resume();
  }

  function take(message: Buffer, known: (Authentication & { readonly ok: true }) | undefined): void {
    if (ended) return;
    if (!allowance.take(message.length)) {
      refuse({ ...exhausted, kind: 'flood', reason: 'too many requests' });
      return;
    }
    try {
      if (client) {
        receive(message);
        return;
      }
      clearTimeout(firstRequest);
      call.pause();
      begin(message, known).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  /** Messages may be large: those of strangers stay where they are, and fill nothing but the window of their stream. */
  async function read(): Promise<void> {
    const known = options.byTokenAlone ? await authenticate(nobody) : undefined;
    if (ended || (known && !count(known.client))) return;
    firstRequest = setTimeout(
      () => refuse({ kind: 'silent', code: grpcStatus.DEADLINE_EXCEEDED, reason: 'no request arrived' }),
      limits.firstRequest,
    );
    call.on('data', (message: Buffer) => take(message, known));
  }

  function fail(error: unknown): void {
    const reason = error instanceof Error ? error.message : 'malformed request';
    refuse({ kind: 'malformed', code: grpcStatus.INVALID_ARGUMENT, reason, more: { error } });
  }

  call.on('end', finish);
  call.on('cancelled', gone);
  call.on('close', gone);
  call.on('error', close);
  // Whoever is told of this stream must have it first.
  Promise.resolve().then(read).catch(fail);

  return {
    get client() {
      return client;
    },
    get name() {
      return counted;
    },
    protocol,
    connectedSince,
    types: () => stream.status(),
    pump,
    end,
  };
}
