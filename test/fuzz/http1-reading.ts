import type { MessageHead, RequestHead, ResponseHead } from '../../pkg/http1/head.ts';
import type { ChunkedOutput } from '../../pkg/http1/chunked-body.ts';
import { event } from '../../pkg/http1/message-parser.ts';
import { RequestParser } from '../../pkg/http1/request-parser.ts';
import { ResponseParser } from '../../pkg/http1/response-parser.ts';
import type { Answered } from '../../pkg/http1/response-head.ts';
import type { Reading, ReadMessage } from './http1-oracle.ts';

export interface OurReading extends Reading {
  readonly heads: (RequestHead | ResponseHead)[];
}

export interface OurCall {
  readonly type: 'request' | 'response';
  readonly output: ChunkedOutput;
  /** Where the input is cut. */
  readonly cuts: readonly number[];
  /** Responses: what each answers. */
  readonly answers: (index: number) => Answered;
  readonly finish: boolean;
}

/** Reads bytes with our parser, cut into pieces. */
export function readWithOurs(bytes: Buffer, call: OurCall): OurReading {
  const reading: OurReading = {
    messages: [],
    heads: [],
    end: 'open',
    reason: '',
    forgiven: false,
    rest: Buffer.alloc(0),
  };
  const parser = call.type === 'request' ? new RequestParser() : new ResponseParser();
  parser.chunkedOutput = call.output;
  let answered = 0;
  const expect = (): void => {
    if (parser instanceof ResponseParser) parser.expect(call.answers(answered++));
  };
  expect();
  let from = 0;
  for (const to of [...call.cuts, bytes.length]) {
    parser.push(bytes.subarray(from, to));
    from = to;
    for (let found = parser.next(); found !== event.more; found = parser.next()) {
      if (found === event.refused || found === event.paused) {
        reading.end = found === event.refused ? 'refused' : 'switched';
        if (found === event.refused) reading.reason = parser.refusal;
        else reading.rest = Buffer.concat([parser.takeRest(), bytes.subarray(from)]);
        return reading;
      }
      take(reading, found, parser);
      const head = parser.head!;
      if (found === event.end || ('interim' in head && head.interim)) {
        // An interim response answers nothing: the one behind it does.
        if ('interim' in head && head.interim) answered--;
        expect();
      }
    }
  }
  if (!call.finish) return reading;
  const found = parser.finish();
  if (found === event.refused) reading.end = 'refused';
  if (found === event.refused) reading.reason = parser.refusal;
  if (found === event.end) reading.messages.at(-1)!.complete = true;
  return reading;
}

function take(reading: OurReading, found: number, parser: RequestParser | ResponseParser): void {
  if (found === event.head) {
    const head = parser.head!;
    reading.heads.push(head);
    const message = toMessage(head);
    message.complete = 'interim' in head && head.interim;
    reading.messages.push(message);
  }
  const message = reading.messages.at(-1)!;
  if (found === event.body) message.body = Buffer.concat([message.body, parser.body]);
  if (found === event.end) message.complete = true;
}

function toMessage(head: MessageHead & (RequestHead | ResponseHead)): ReadMessage {
  const fields: string[] = [];
  for (let i = 0; i < head.count; i++) fields.push(head.name(i), head.value(i));
  const start =
    'method' in head
      ? `${head.method} ${head.target} HTTP/1.${head.minor}`
      : `HTTP/1.${head.minor} ${head.status} ${head.startLine.slice(13)}`;
  return {
    start,
    fields,
    body: Buffer.alloc(0),
    complete: false,
    keepAlive: head.keepAlive,
  };
}
