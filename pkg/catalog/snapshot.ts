import type { PolicyMode } from '../policy/inbound.ts';
import type { MeshSettings } from '../policy/proxy-policy.ts';
import type { Position } from '../problem/problem.ts';

/**
 * Everything that was read, at one moment. Immutable; an object that did not change is the same
 * reference in the next snapshot, and so is a list none of whose members changed: `buildMesh` relies on it
 * to do work in proportion to the change.
 */
export interface MeshSnapshot {
  readonly config: MeshConfig;
  readonly namespaces: readonly Namespace[];
  readonly services: readonly Service[];
  readonly pods: readonly Pod[];
  /** Given by the user or a cluster; a Service with a selector and none of these gets its endpoints from `pods`. */
  readonly endpointSlices: readonly EndpointSlice[];
  /** SMI objects as decoded JSON, any version: `pkg/smi` decodes them. */
  readonly smi: readonly RawObject[];
}

export interface MeshConfig extends MeshSettings {
  readonly mode: PolicyMode;
  /** Where the mode was set: `flag --mode`, `default`. */
  readonly modeFrom: string;
  /** `full`: a pathRegex matches the whole path. `start`: the spec's letter (DECISIONS S5). */
  readonly pathMatch: 'full' | 'start';
}

/** A JSON object as the user wrote it (apiVersion, kind, metadata, …), namespace filled in. */
export interface RawObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** RFC 3339; absent in files. */
  readonly creationTimestamp?: string;
}

export interface Namespace {
  readonly name: string;
  /** Not meshed: its services are known and reached in plaintext. */
  readonly meshed: boolean;
  readonly mode?: PolicyMode;
}

export interface Service {
  readonly namespace: string;
  readonly name: string;
  /** Assigned by the provider when the user gave none; empty for headless and ExternalName. */
  readonly clusterIPs: readonly string[];
  readonly headless: boolean;
  readonly externalName?: string;
  readonly selector?: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePort[];
  readonly publishNotReadyAddresses: boolean;
}

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  /** Number, or the name of a container port. */
  readonly targetPort: number | string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly appProtocol?: string;
}

export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ip: string;
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly ready: boolean;
  readonly meshed: boolean;
  /** Its address is that of its node, and of others on it. */
  readonly hostNetwork?: true;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  /**
   * Where its sidecar accepts mutual TLS for a port, `{port}` standing for the number: `unix:/run/x/in-{port}.sock`.
   * Absent: at the pod's own address and port.
   */
  readonly inboundAddress?: string;
  /** `ns/kind/name` of what made it, for people: `bookstore/Deployment/bookstore-v1`. */
  readonly owner?: string;
  /** Which data plane runs beside it, for people; absent: not told. */
  readonly sidecar?: 'node' | 'envoy';
  /** What a browser can open, for people: `http://127.0.0.1:40123`. */
  readonly address?: string;
}

export interface EndpointSlice {
  readonly namespace: string;
  readonly name: string;
  /** Name of the Service (label `kubernetes.io/service-name`). */
  readonly service: string;
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly appProtocol?: string;
  }[];
  readonly endpoints: readonly {
    readonly addresses: readonly string[];
    readonly ready: boolean;
    readonly hostname?: string;
    /** Name of the pod, when it is one. */
    readonly pod?: string;
  }[];
}

/** Finds the place of a field of an object in what the user wrote; undefined when it came from elsewhere. */
export type Locate = (
  resource: { kind: string; namespace: string; name: string },
  field: string,
) => Position | undefined;
