import { constants } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import { toGrpcMessage, toGrpcStatus } from './denial.ts';
import type { LocalAnswer } from './denial.ts';
import type { Exchange } from './exchange.ts';

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants;

/** Gives an answer of our own; to gRPC as gRPC (HTTP 200 and `grpc-status`, DECISIONS S11). */
export function answerHttp2(exchange: Exchange, stream: ServerHttp2Stream, answer: LocalAnswer): void {
  const { facts } = exchange;
  stream.once('close', () => exchange.end());
  if (stream.destroyed || stream.headersSent) {
    stream.close(NGHTTP2_INTERNAL_ERROR);
    return;
  }
  if (facts.grpc) {
    facts.status = 200;
    facts.grpcStatus = toGrpcStatus(answer.status);
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': String(facts.grpcStatus),
        'grpc-message': toGrpcMessage(answer.body),
        'x-tulle-reason': answer.reason,
      },
      { endStream: true },
    );
  } else {
    facts.status = answer.status;
    stream.respond({
      ':status': answer.status,
      'content-type': 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(answer.body),
      'x-tulle-reason': answer.reason,
    });
    stream.end(facts.method === 'HEAD' ? undefined : answer.body);
  }
  // What the client still sends is of no use (RFC 9113 §8.1).
  stream.once('finish', () => {
    if (!stream.readableEnded) stream.close(NGHTTP2_NO_ERROR);
  });
  stream.resume();
}
