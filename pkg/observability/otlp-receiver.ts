import type { ErrorRequestHandler, Request, Response, Router } from 'express';
import express from 'express';
import { decodeOtlpJson, decodeOtlpProtobuf, otlpMessages } from './otlp-decode.ts';
import { OtlpTooLarge } from './otlp-size.ts';
import type { Span } from './span.ts';

const maxBodyBytes = 4 * 1024 * 1024;
const protobuf = 'application/x-protobuf';
const json = 'application/json';

export interface OtlpReceiverOptions {
  /** Takes what was decoded; must not throw. */
  readonly onSpans: (spans: readonly Span[]) => void;
  /** Each accepted request as it came (already inflated) with the number of its usable spans, to send it on. */
  readonly onExport?: (body: Buffer, contentType: string, spans: number) => void;
  readonly onRejected?: (spans: number, reason: string) => void;
  /** Whether who sent the request may report this span; absent: anybody may report anything. */
  readonly mayReport?: (span: Span, request: Request) => boolean;
}

/**
 * `POST /v1/traces`: OTLP/HTTP, protobuf and JSON, gzip or not (opentelemetry-proto, OTLP/HTTP 1.x).
 * 4 MiB and 20,000 spans at most once inflated (413), another content type or encoding is 415, undecodable is 400; the answer comes in the
 * encoding of the request. Spans that can't be used are counted in `partial_success`, the others are taken.
 */
export function createOtlpReceiver(options: OtlpReceiverOptions): Router {
  const router = express.Router();
  const body = express.raw({ type: [protobuf, json], limit: maxBodyBytes });
  router.post('/v1/traces', body, (request, response) => receive(options, request, response));
  router.all('/v1/traces', (_request, response) => {
    response.status(405).set('allow', 'POST').type('text/plain').send('POST OTLP traces here\n');
  });
  router.use('/v1/traces', refuse);
  return router;
}

function receive(options: OtlpReceiverOptions, request: Request, response: Response): void {
  const { onSpans, onExport, onRejected, mayReport = () => true } = options;
  const type = request.is([protobuf, json]);
  if (type !== protobuf && type !== json) {
    response.status(415).type('text/plain').send(`OTLP/HTTP is ${protobuf} or ${json}\n`);
    return;
  }
  const content = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  let decoded;
  try {
    decoded = type === protobuf ? decodeOtlpProtobuf(content) : decodeOtlpJson(content);
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof OtlpTooLarge) sendStatus(response, 413, type, message);
    else sendStatus(response, 400, type, `cannot decode: ${message}`);
    return;
  }
  const spans = decoded.spans.filter((span) => mayReport(span, request));
  const foreign = decoded.spans.length - spans.length;
  onSpans(spans);
  // It is sent on as it came, or not at all.
  if (foreign === 0) onExport?.(content, type, decoded.spans.length);
  const rejected = decoded.rejected + foreign;
  const reason = foreign > 0 ? "spans speak for another than their sender's pod" : (decoded.reason ?? '');
  if (rejected > 0) onRejected?.(rejected, reason);
  const partialSuccess = { rejectedSpans: rejected, errorMessage: reason };
  const answer = rejected > 0 ? { partialSuccess } : {};
  if (type === protobuf) {
    response.type(protobuf).send(Buffer.from(otlpMessages.response.serialize(answer)));
  } else {
    // int64 is text in protobuf's JSON.
    response.json(rejected > 0 ? { partialSuccess: { ...partialSuccess, rejectedSpans: String(rejected) } } : {});
  }
}

/** A google.rpc.Status in the encoding of the request, as OTLP/HTTP asks for. */
function sendStatus(response: Response, status: number, type: string, message: string): void {
  const body = { code: status === 400 ? 3 : 8, message };
  response.status(status);
  if (type === protobuf) response.type(protobuf).send(Buffer.from(otlpMessages.status.serialize(body)));
  else response.json(body);
}

/** What the body parser refuses: too large, an unknown content encoding, broken gzip, an aborted request. */
const refuse: ErrorRequestHandler = (error: { status?: number; message?: string }, request, response, _next) => {
  const status = error.status ?? 500;
  const type = request.is([protobuf, json]) === protobuf ? protobuf : json;
  sendStatus(response, status, type, status < 500 ? (error.message ?? 'bad request') : 'internal error');
};
