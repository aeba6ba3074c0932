import type { HttpFilter } from './envoy-http-types.ts';
import type { Route } from './envoy-route-types.ts';

const name = 'tulle.trace';

/** The trace id of a request that this Envoy refuses; refusals read it. */
export const traceHeader = 'x-tulle-trace';

/** Envoy does not know its own trace where it writes an answer by itself: this writes it down before, where a route asks. */
export const traceTelling: HttpFilter = {
  name,
  disabled: true,
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
    mutations: {
      request_mutations: [
        {
          append: {
            header: { key: traceHeader, value: '%TRACE_ID%' },
            append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
          },
        },
      ],
    },
  },
};

/** What a route that refuses says, so that nobody else pays for it. */
export const tellTrace: NonNullable<Route['typed_per_filter_config']> = {
  [name]: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute' },
};
