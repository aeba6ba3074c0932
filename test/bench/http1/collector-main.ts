import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WireReader } from '../../../pkg/xds/wire.ts';
import { answer } from '../answer.ts';

/** Takes spans, of Zipkin as JSON or of OTLP as protobuf, counts them, and throws them away. */
let spans = 0;
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    const type = request.headers['content-type'] ?? 'text/plain';
    spans += type === 'application/x-protobuf' ? countOtlp(body) : countZipkin(body);
    response.writeHead(200, { 'content-length': '0', 'content-type': type });
    response.end();
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

/** ExportTraceServiceRequest.resource_spans = 1, ResourceSpans.scope_spans = 2, ScopeSpans.spans = 2. */
function countOtlp(body: Buffer): number {
  const inside = (message: Buffer, wanted: number): Buffer[] => {
    const reader = new WireReader(message);
    const found: Buffer[] = [];
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === wanted) found.push(reader.bytes());
      else reader.skip();
    }
    return found;
  };
  return inside(body, 1)
    .flatMap((resource) => inside(resource, 2))
    .reduce((sum, scope) => sum + inside(scope, 2).length, 0);
}

function countZipkin(body: Buffer): number {
  let count = 0;
  for (let at = body.indexOf('"traceId"'); at >= 0; at = body.indexOf('"traceId"', at + 9)) count += 1;
  return count;
}

answer({
  port: () => (server.address() as AddressInfo).port,
  /** Since it was asked the last time. */
  taken: () => {
    const taken = spans;
    spans = 0;
    return taken;
  },
});
