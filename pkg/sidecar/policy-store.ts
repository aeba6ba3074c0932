import type { EndpointSet } from '../policy/endpoints.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { EndpointSetKey, OutboundService, ServicePortKey } from '../policy/outbound.ts';
import type { DirectoryEntry, MeshSettings } from '../policy/proxy-policy.ts';
import { tulleTypes } from '../xds/resources.ts';
import {
  decodeDirectoryEntry,
  decodeEndpointSet,
  decodeInboundPolicy,
  decodeJson,
  decodeOutboundService,
  decodeSettings,
} from './policy-decode.ts';

export type PolicyPart = keyof typeof tulleTypes;

/** One response of the control plane for one type. */
export interface PolicyUpdate {
  readonly upserts: readonly {
    readonly name: string;
    readonly value: Uint8Array;
  }[];
  readonly removed: readonly string[];
  /** True: what isn't among the upserts is gone (state of the world). */
  readonly whole?: boolean;
}

/**
 * The policy in force in this sidecar. It outlives the control plane: what was good stays until something
 * better arrives, and a response with one bad resource in it changes nothing.
 */
export interface PolicyStore {
  readonly settings: MeshSettings | undefined;
  readonly inbound: InboundPolicy | undefined;
  readonly outbound: ReadonlyMap<ServicePortKey, OutboundService>;
  readonly endpoints: ReadonlyMap<EndpointSetKey, EndpointSet>;
  readonly directory: ReadonlyMap<ServicePortKey, DirectoryEntry>;
  /** Settings and the own inbound policy have arrived, and each type was answered once. */
  readonly ready: boolean;
  /** Throws `PolicyRefused`, with nothing applied, when one of the resources can't be used. */
  apply(part: PolicyPart, update: PolicyUpdate): void;
  /** Calls back after each change, until the returned function is called. */
  subscribe(listener: (part: PolicyPart) => void): () => void;
}

export function createPolicyStore(): PolicyStore {
  const listeners = new Set<(part: PolicyPart) => void>();
  const answered = new Set<PolicyPart>();
  const maps = {
    settings: new Map<string, MeshSettings>(),
    inbound: new Map<string, InboundPolicy>(),
    outbound: new Map<ServicePortKey, OutboundService>(),
    endpoints: new Map<EndpointSetKey, EndpointSet>(),
    directory: new Map<ServicePortKey, DirectoryEntry>(),
  };

  return {
    get settings() {
      return maps.settings.get('mesh');
    },
    get inbound() {
      return maps.inbound.get('inbound');
    },
    outbound: maps.outbound,
    endpoints: maps.endpoints,
    directory: maps.directory,
    get ready() {
      return (
        answered.size === Object.keys(tulleTypes).length && maps.settings.has('mesh') && maps.inbound.has('inbound')
      );
    },
    apply(part, { upserts, removed, whole }) {
      const decoded = upserts.map(({ name, value }) => [name, decode(part, name, value)] as const);
      const map = maps[part] as Map<string, unknown>;
      const first = !answered.has(part);
      answered.add(part);
      if (whole) {
        const names = new Set(decoded.map(([name]) => name));
        for (const name of [...map.keys()]) if (!names.has(name)) map.delete(name);
      }
      for (const name of removed) map.delete(name);
      for (const [name, value] of decoded) map.set(name, value);
      if (first || whole || removed.length > 0 || decoded.length > 0) for (const listener of listeners) listener(part);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function decode(part: PolicyPart, name: string, value: Uint8Array): unknown {
  const fields = decodeJson(name, value);
  switch (part) {
    case 'settings':
      return decodeSettings(name, fields);
    case 'inbound':
      return decodeInboundPolicy(name, fields);
    case 'outbound':
      return decodeOutboundService(name, fields);
    case 'endpoints':
      return decodeEndpointSet(name, fields);
    case 'directory':
      return decodeDirectoryEntry(name, fields);
  }
}
