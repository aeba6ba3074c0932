import { b3Extraction } from './b3.ts';
import type { HeaderMutation, HttpConnectionManager, HttpFilter } from './envoy-http-types.ts';
import { rbacFilters } from './rbac.ts';
import { dialledHeader } from './route.ts';
import { traceTelling } from './trace-telling.ts';

const router: HttpFilter = {
  name: 'envoy.filters.http.router',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
    suppress_envoy_headers: true,
  },
};

const rbac = 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC';

/** Refuses all, unless the routes say otherwise: routes that lack their rules open nothing. */
const access: HttpFilter = {
  name: rbacFilters.access,
  typed_config: { '@type': rbac, rules: { action: 'ALLOW', policies: {} } },
};

/** Not there at all, and no work, where the routes say nothing about it. */
const rehearsal: HttpFilter = { name: rbacFilters.rehearsal, disabled: true, typed_config: { '@type': rbac } };

/** In this order: a refusal does not tell what a rehearsal would have allowed. */
export const inboundFilters: readonly HttpFilter[] = [rehearsal, access, router];

export const outboundFilters: readonly HttpFilter[] = [traceTelling, router];

/** What only sidecars set; what an app or a peer says there is removed before anything reads it (DECISIONS E12). */
const reserved: readonly HeaderMutation[] = [
  { remove_on_match: { key_matcher: { prefix: 'x-envoy-' } } },
  { remove_on_match: { key_matcher: { prefix: 'x-tulle-' } } },
];

const dialled: readonly HeaderMutation[] = [
  {
    append: {
      header: { key: dialledHeader, value: '%DOWNSTREAM_LOCAL_ADDRESS%' },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    },
  },
];

/** Runs before the span begins and before any filter. */
export function toEarlyMutation(
  sampling: number,
  { tellDialled, readB3 }: { readonly tellDialled: boolean; readonly readB3: boolean },
): NonNullable<HttpConnectionManager['early_header_mutation_extensions']> {
  return [
    {
      name: 'envoy.http.early_header_mutation.header_mutation',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation',
        mutations: [...reserved, ...(tellDialled ? dialled : []), ...(readB3 ? b3Extraction(sampling) : [])],
      },
    },
  ];
}
