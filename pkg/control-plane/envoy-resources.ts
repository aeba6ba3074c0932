import {
  appPortsMetadata,
  type InterceptionMode,
  outboundMetadata,
  toInterceptionMode,
} from '../envoy-config/interception.ts';
import { toHistoryKey, type TcpChains } from '../envoy-config/tcp-chain.ts';
import { toXdsResources, type XdsResources } from '../envoy-config/to-xds-resources.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { ProxyPolicy } from '../policy/proxy-policy.ts';
import { toEncodedResource, toResourceView } from '../xds/encode.ts';
import type { MessageEncoder } from '../xds/message-encoder.ts';
import { toOverlay } from '../xds/overlay-view.ts';
import type { EncodedResource, ResourceView, XdsClient } from '../xds/resources.ts';
import { envoyTypes } from '../xds/type-traits.ts';

/** Turns policies into the resources that Envoys are sent: each object of the translation is encoded once. */
export interface EnvoyResources {
  /** Undefined for a type that is not Envoy's. */
  view(client: XdsClient, policy: ProxyPolicy, typeUrl: string): ResourceView | undefined;
  /** The same object as long as all views of the client, peers too, are the same. */
  stateOf(client: XdsClient, policy: ProxyPolicy): object;
  /** Secrets with the roots of the mesh and exactly these peers, by name. */
  peers(client: XdsClient, policy: ProxyPolicy): ReadonlyMap<string, readonly ServiceIdentity[]>;
  /** Forgets the pods that are gone. */
  retain(pods: { has(pod: string): boolean }): void;
}

export interface EnvoyResourcesOptions {
  /** Asked for when the first Envoy connects: a mesh of Node sidecars does without. */
  readonly loadEncoder: () => MessageEncoder;
  /** `tulle.dev/inbound-address` of a pod, if it has one. */
  readonly inboundAddress: (pod: string) => string | undefined;
}

interface Given {
  readonly policy: ProxyPolicy;
  readonly mode: InterceptionMode;
  readonly resources: XdsResources;
}

const prefix = 'type.googleapis.com/';
const maxModes = 500;

export function createEnvoyResources({ loadEncoder, inboundAddress }: EnvoyResourcesOptions): EnvoyResources {
  let encoder: MessageEncoder | undefined;
  const modes = new Map<string, InterceptionMode>();
  const modeOfClient = new WeakMap<
    XdsClient,
    { readonly inbound: string | undefined; readonly mode: InterceptionMode }
  >();
  /** By what the pods were given before, too: those of another history have other connections to close. */
  const translated = new WeakMap<ProxyPolicy, WeakMap<InterceptionMode, Map<string, XdsResources>>>();
  /** What each pod was given last, for the translation to go on from. */
  const last = new Map<string, Given>();
  const histories = new WeakMap<TcpChains, string>();
  const views = new WeakMap<object, ResourceView>();
  const resources = new WeakMap<object, EncodedResource>();

  /** The same object for the same mode: the translation is remembered by it. */
  function modeOf(client: XdsClient): InterceptionMode {
    const inbound = client.pod === undefined ? undefined : inboundAddress(client.pod);
    const before = modeOfClient.get(client);
    if (before && before.inbound === inbound) return before.mode;
    const { metadata = {} } = client;
    const key = JSON.stringify([inbound, metadata[outboundMetadata], metadata[appPortsMetadata]]);
    const mode = modes.get(key) ?? toInterceptionMode(inbound, metadata);
    // Metadata is the client's: nobody may fill the memory with it.
    if (modes.size >= maxModes) modes.clear();
    modes.set(key, mode);
    modeOfClient.set(client, { inbound, mode });
    return mode;
  }

  function translate(client: XdsClient, policy: ProxyPolicy): XdsResources {
    const mode = modeOf(client);
    const key = client.pod ?? client.identity;
    const before = last.get(key);
    if (before?.policy === policy && before.mode === mode) return before.resources;
    const byMode = translated.get(policy) ?? new WeakMap<InterceptionMode, Map<string, XdsResources>>();
    translated.set(policy, byMode);
    const byHistory = byMode.get(mode) ?? new Map<string, XdsResources>();
    byMode.set(mode, byHistory);
    const history = before ? historyOf(before.resources.tcpChains) : '';
    const resources = byHistory.get(history) ?? toXdsResources(policy, mode, before?.resources);
    byHistory.set(history, resources);
    last.set(key, { policy, mode, resources });
    return resources;
  }

  function historyOf(chains: TcpChains): string {
    const history = histories.get(chains) ?? toHistoryKey(chains);
    histories.set(chains, history);
    return history;
  }

  function encodeAll(messages: ReadonlyMap<string, object>, typeUrl: string): ResourceView {
    const view = views.get(messages) ?? toResourceView([...messages].map((entry) => encode(...entry, typeUrl)));
    views.set(messages, view);
    return view;
  }

  function encode(name: string, message: object, typeUrl: string): EncodedResource {
    const known = resources.get(message);
    if (known) return known;
    encoder ??= loadEncoder();
    const resource = toEncodedResource(name, typeUrl, encoder.encode(typeUrl.slice(prefix.length), message));
    resources.set(message, resource);
    return resource;
  }

  return {
    view(client, policy, typeUrl) {
      switch (typeUrl) {
        case envoyTypes.cluster:
          return encodeAll(translate(client, policy).clusters, typeUrl);
        case envoyTypes.endpoints:
          return encodeAll(translate(client, policy).endpoints, typeUrl);
        case envoyTypes.listener:
          return encodeAll(translate(client, policy).listeners, typeUrl);
        case envoyTypes.route:
          return encodeAll(translate(client, policy).routes, typeUrl);
        case envoyTypes.scopedRoute: {
          const { scopes, refusals } = translate(client, policy);
          return toOverlay(encodeAll(refusals, typeUrl), encodeAll(scopes, typeUrl));
        }
        case envoyTypes.extension:
          return encodeAll(translate(client, policy).extensions, typeUrl);
        default:
          return undefined;
      }
    },
    stateOf: translate,
    peers: (client, policy) => translate(client, policy).peers,
    retain(pods) {
      for (const key of last.keys()) if (!pods.has(key)) last.delete(key);
    },
  };
}
