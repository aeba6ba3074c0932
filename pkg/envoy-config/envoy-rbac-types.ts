import type { HeaderMatcher, StringMatcher } from './envoy-types.ts';

// Envoy's rbac.proto, as far as it is in use. See envoy-types.ts for the form.

export interface RbacRules {
  readonly action: 'ALLOW' | 'DENY';
  readonly policies?: Readonly<Record<string, RbacPolicy>>;
}

export interface RbacPolicy {
  readonly permissions: readonly Permission[];
  readonly principals: readonly Principal[];
}

export interface Permission {
  readonly any?: true;
  readonly and_rules?: { readonly rules: readonly Permission[] };
  readonly or_rules?: { readonly rules: readonly Permission[] };
  readonly not_rule?: Permission;
  readonly header?: HeaderMatcher;
  readonly url_path?: { readonly path: StringMatcher };
}

export interface Principal {
  readonly any?: true;
  readonly authenticated?: { readonly principal_name?: StringMatcher };
}
