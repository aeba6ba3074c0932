import type { ServiceIdentity } from '../policy/identity.ts';

/** One resource, encoded once; all streams that need it send these bytes (DECISIONS E7). */
export interface EncodedResource {
  readonly name: string;
  /** Hash of the content: equal over restarts, so that a reconnecting proxy is sent only what changed (DECISIONS E6). */
  readonly version: string;
  /** An encoded `google.protobuf.Any`. */
  readonly any: Buffer;
}

/** All resources of one type that one kind of client sees. Clients that see the same share the same object. */
export interface ResourceView {
  readonly resources: ReadonlyMap<string, EncodedResource>;
}

/** Who is at the other end of a stream. The identity is the token's; node metadata is ignored (DECISIONS I4). */
export interface XdsClient {
  readonly identity: ServiceIdentity;
  /** `namespace/name` of the pod that the token is bound to; absent: a client that serves nothing. */
  readonly pod?: string;
  /** `node.id` and user agent, for people. */
  readonly nodeId: string;
  readonly userAgent: string;
  /** `node.metadata`: how this proxy wants its own configuration, never who it is. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Where the server takes resources from. */
export interface ResourceSource {
  /** The same object as long as nothing in it changed; undefined: this type is not served to this client. */
  view(client: XdsClient, typeUrl: string): ResourceView | undefined;
  /**
   * The same object as long as no view of this client changed: it then needs no look at each type. Undefined, or no
   * such function: look.
   */
  stateOf?(client: XdsClient): object | undefined;
  /**
   * Calls back after each change, until the returned function is called. With the pods whose clients it may concern,
   * clients without a pod aside; without any, it may concern everybody.
   */
  subscribe(listener: (pods?: ReadonlySet<string>) => void): () => void;
}

/** Tulle's own types: an Any whose value is UTF-8 JSON of the type of pkg/policy that is named. */
export const tulleTypes = {
  /** MeshSettings, one resource named `mesh`, the same for all. */
  settings: 'type.googleapis.com/tulle.policy.v1.MeshSettings',
  /** InboundPolicy, one resource named `inbound`: the client's own. */
  inbound: 'type.googleapis.com/tulle.policy.v1.InboundPolicy',
  /** OutboundService, by ServicePortKey: those that the client may reach. */
  outbound: 'type.googleapis.com/tulle.policy.v1.OutboundService',
  /** EndpointSet, by EndpointSetKey. */
  endpoints: 'type.googleapis.com/tulle.policy.v1.EndpointSet',
  /** DirectoryEntry, by ServicePortKey: every Service port of the mesh, the same for all. */
  directory: 'type.googleapis.com/tulle.policy.v1.DirectoryEntry',
} as const;

/** The certificate and the roots of a client: Envoy's own type, for both data planes. Names: `identity`, `roots`. */
export const secretType = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
