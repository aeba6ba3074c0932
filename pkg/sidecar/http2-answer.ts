import { errorCode } from '../http2/error-codes.ts';
import type { Http2Stream } from '../http2/stream.ts';
import { toGrpcMessage, toGrpcStatus } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import type { Exchange } from './exchange.ts';
import type { RequestDeadlines, TimedRequest } from './request-deadlines.ts';

/** Gives an answer of our own; to gRPC as gRPC (HTTP 200 and `grpc-status`, DECISIONS S11). */
export function answerHttp2(
  exchange: Exchange,
  stream: Http2Stream,
  answer: LocalAnswer,
  deadlines: RequestDeadlines,
  error?: string,
): void {
  const { facts, site } = exchange;
  const patience: TimedRequest = {
    slot: -1,
    deadline: deadlines.after(site.limits.streamIdle),
    expire() {
      deadlines.remove(patience);
      stream.reset(errorCode.cancel);
      exchange.end('timeout');
    },
  };
  stream.reader = {
    headers: () => undefined,
    data: (chunk) => stream.consumed(chunk.length),
    closed() {
      deadlines.remove(patience);
      exchange.end(error);
    },
  };
  stream.abandonsRest = true;
  send(facts, stream, answer);
  // The client does not take it.
  if (!stream.closed && !stream.localEnded) deadlines.add(patience);
}

function send(facts: Exchange['facts'], stream: Http2Stream, answer: LocalAnswer): void {
  if (facts.grpc) {
    facts.status = 200;
    facts.grpcStatus = toGrpcStatus(answer.status);
    const head = [':status', '200', 'content-type', 'application/grpc', 'grpc-status', String(facts.grpcStatus)];
    stream.sendHeaders(
      [...head, 'grpc-message', toGrpcMessage(answer.body), 'x-tulle-reason', answer.reason, ...lowerCase(answer)],
      true,
    );
    return;
  }
  facts.status = answer.status;
  const body = Buffer.from(answer.body);
  const head = [':status', String(answer.status), 'content-type', 'text/plain; charset=utf-8'];
  const isHead = facts.method === 'HEAD';
  stream.sendHeaders(
    [...head, 'content-length', String(body.length), 'x-tulle-reason', answer.reason, ...lowerCase(answer)],
    isHead,
  );
  if (!isHead) stream.sendData(body, true);
}

function lowerCase({ headers = [] }: LocalAnswer): readonly string[] {
  return headers.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));
}
