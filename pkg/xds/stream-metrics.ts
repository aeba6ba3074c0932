import type { Counter, Gauge, Histogram, Metrics } from '../observability/metrics.ts';

export interface StreamMetrics {
  readonly streams: Gauge;
  readonly refused: Counter;
  readonly requests: Counter;
  readonly responses: Counter;
  readonly resources: Counter;
  readonly bytes: Counter;
  readonly ackSeconds: Histogram;
}

export function declareStreamMetrics(metrics: Metrics): StreamMetrics {
  return {
    streams: metrics.gauge('tulle_xds_streams', 'Open ADS streams'),
    refused: metrics.counter('tulle_xds_refused_total', 'Streams refused or ended by a limit', ['reason']),
    requests: metrics.counter('tulle_xds_requests_total', 'Requests of ADS by what they were', ['type', 'kind']),
    responses: metrics.counter('tulle_xds_responses_total', 'Responses sent', ['type']),
    resources: metrics.counter('tulle_xds_resources_total', 'Resources sent, removals included', ['type']),
    bytes: metrics.counter('tulle_xds_response_bytes_total', 'Bytes of responses sent', ['type']),
    ackSeconds: metrics.histogram('tulle_xds_ack_seconds', 'From the composing of a response to its ACK', ['type']),
  };
}
