import { createServer } from 'node:http';
import { PassThrough } from 'node:stream';

/** What one parser, ours or Node's, read from some bytes. */
export interface Reading {
  readonly messages: ReadMessage[];
  /** `open`: it wants more. `refused`: an error. `switched`: the rest is another protocol's. */
  end: 'open' | 'refused' | 'switched';
  reason: string;
  /** Node forgives errors in the body of a message that offers an upgrade: such an end says nothing. */
  forgiven: boolean;
  /** After `switched`. */
  rest: Buffer;
}

export interface ReadMessage {
  /** Request line or status, and HTTP version. */
  start: string;
  /** Names and values in turn. */
  fields: readonly string[];
  body: Buffer;
  complete: boolean;
  keepAlive: boolean;
}

type OnHead = (
  major: number,
  minor: number,
  fields: string[] | undefined,
  method: number | undefined,
  url: string | undefined,
  status: number | undefined,
  message: string | undefined,
  upgrade: boolean,
  keepAlive: boolean,
) => number;

interface NativeParser {
  [callback: number]: unknown;
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): number | (Error & { code: string });
  finish(): undefined | (Error & { code: string });
}

interface NativeParserClass {
  new (): NativeParser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

/** Node's own parser, taken from a connection that its server has been given. */
const Native = findNativeParser();
const parser = new Native();
const methodNames = new Map<number, string>();

function findNativeParser(): NativeParserClass {
  const server = createServer();
  const socket = new PassThrough();
  server.emit('connection', socket);
  const { parser: found } = socket as unknown as { parser: object };
  socket.destroy();
  return found.constructor as NativeParserClass;
}

export interface OracleCall {
  readonly type: 'request' | 'response';
  /** Per message: the receiver treats what follows as another protocol. */
  readonly switches: (index: number) => boolean;
  /** Responses: per message, the request that it answers was HEAD. */
  readonly bodiless?: (index: number) => boolean;
  /** The connection ends behind the bytes. */
  readonly finish: boolean;
}

/** Reads bytes with Node's parser (llhttp, strict). */
export function readWithNode(bytes: Buffer, call: OracleCall): Reading {
  const reading: Reading = {
    messages: [],
    end: 'open',
    reason: '',
    forgiven: false,
    rest: Buffer.alloc(0),
  };
  let left = bytes;
  do left = readOnce(left, call, reading);
  while (left.length > 0);
  return reading;
}

/** Reads until the end, an error, or an offer to switch that was declined: returns what is behind that. */
function readOnce(bytes: Buffer, call: OracleCall, reading: Reading): Buffer {
  let fields: string[] = [];
  let early: string | undefined;
  let switched = false;
  parser.initialize(call.type === 'request' ? Native.REQUEST : Native.RESPONSE, {});
  parser[Native.kOnHeaders] = (some: string[], url: string) => {
    fields.push(...some);
    if (url !== '') early = (early ?? '') + url;
  };
  const onHead: OnHead = (major, minor, all, method, url, status, message, upgrade, keepAlive) => {
    const index = reading.messages.length;
    reading.forgiven ||= upgrade;
    const version = `HTTP/${major}.${minor}`;
    const name = methodNames.get(method ?? -1) ?? String(method);
    reading.messages.push({
      start:
        call.type === 'request' ? `${name} ${url ?? early ?? ''} ${version}` : `${version} ${status} ${message ?? ''}`,
      fields: all ?? fields,
      body: Buffer.alloc(0),
      complete: false,
      keepAlive,
    });
    fields = [];
    early = undefined;
    if (call.switches(index)) {
      // What answers CONNECT isn't the parser's to know: Node's client says it so, too.
      switched = upgrade || call.type === 'response';
      return switched ? 2 : 0;
    }
    return call.bodiless?.(index) === true ? 1 : 0;
  };
  parser[Native.kOnHeadersComplete] = onHead;
  parser[Native.kOnBody] = (body: Buffer) => {
    const message = reading.messages.at(-1)!;
    message.body = message.body.length === 0 ? Buffer.from(body) : Buffer.concat([message.body, body]);
  };
  parser[Native.kOnMessageComplete] = () => {
    const message = reading.messages.at(-1)!;
    message.complete = true;
    fields = [];
    // Trailers come with the target once more.
    early = undefined;
  };
  const read = bytes.length === 0 ? 0 : parser.execute(bytes);
  if (typeof read !== 'number') {
    reading.end = 'refused';
    reading.reason = read.code;
    return Buffer.alloc(0);
  }
  if (switched) {
    reading.end = 'switched';
    reading.rest = bytes.subarray(read);
    return Buffer.alloc(0);
  }
  if (read < bytes.length) return bytes.subarray(read);
  const error = call.finish ? parser.finish() : undefined;
  if (error instanceof Error) {
    reading.end = 'refused';
    reading.reason = error.code;
  }
  return Buffer.alloc(0);
}

/** Node numbers its methods; which is which shows when it reads them. */
export function learnMethods(names: readonly string[]): void {
  for (const name of names) {
    const target = name === 'CONNECT' ? 'h:1' : '/';
    const { messages } = readWithNode(Buffer.from(`${name} ${target} HTTP/1.1\r\n\r\n`), {
      type: 'request',
      switches: () => true,
      finish: false,
    });
    const number = messages[0]?.start.split(' ')[0];
    if (number !== undefined) methodNames.set(Number(number), name);
  }
}
