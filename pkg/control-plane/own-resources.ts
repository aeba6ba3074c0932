import type { ProxyPolicy } from '../policy/proxy-policy.ts';
import { toEncodedResource, toResourceView } from '../xds/encode.ts';
import { type EncodedResource, type ResourceView, tulleTypes } from '../xds/resources.ts';

/**
 * The policy of one proxy as resources of Tulle's own types: each fragment is encoded once, and remembered for as long
 * as it is part of a policy. Proxies that share a fragment share its bytes, and those that share a whole map the view.
 */
export function toOwnView(policy: ProxyPolicy, typeUrl: string): ResourceView | undefined {
  switch (typeUrl) {
    case tulleTypes.settings:
      return viewOfOne(policy.settings, 'mesh', typeUrl);
    case tulleTypes.inbound:
      return viewOfOne(policy.inbound, 'inbound', typeUrl);
    case tulleTypes.outbound:
      return viewOfMap(policy.reach.outbound, typeUrl);
    case tulleTypes.endpoints:
      return viewOfMap(policy.reach.endpoints, typeUrl);
    case tulleTypes.directory:
      return viewOfMap(policy.directory, typeUrl);
    default:
      return undefined;
  }
}

const views = new WeakMap<object, ResourceView>();
const resources = new WeakMap<object, EncodedResource>();

function viewOfOne(fragment: object, name: string, typeUrl: string): ResourceView {
  const view = views.get(fragment) ?? toResourceView([encode(fragment, name, typeUrl)]);
  views.set(fragment, view);
  return view;
}

function viewOfMap(fragments: ReadonlyMap<string, object>, typeUrl: string): ResourceView {
  const view = views.get(fragments) ?? toResourceView(encodeAll(fragments, typeUrl));
  views.set(fragments, view);
  return view;
}

function* encodeAll(fragments: ReadonlyMap<string, object>, typeUrl: string): Iterable<EncodedResource> {
  for (const [name, fragment] of fragments) yield encode(fragment, name, typeUrl);
}

function encode(fragment: object, name: string, typeUrl: string): EncodedResource {
  const resource = resources.get(fragment) ?? toEncodedResource(name, typeUrl, Buffer.from(JSON.stringify(fragment)));
  resources.set(fragment, resource);
  return resource;
}
