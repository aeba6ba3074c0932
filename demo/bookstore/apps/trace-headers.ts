import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** What a service must hand on from a request to the requests that it makes because of it, so that they are one trace. */
const names = [
  'traceparent',
  'tracestate',
  'baggage',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'uber-trace-id',
  'x-request-id',
] as const;

export function traceHeaders(incoming: IncomingHttpHeaders): OutgoingHttpHeaders {
  const outgoing: OutgoingHttpHeaders = {};
  for (const name of names) {
    const value = incoming[name];
    if (value !== undefined) outgoing[name] = value;
  }
  return outgoing;
}
