/** `cluster.local`, or what the user set: the root of all identities of one mesh. */
export type TrustDomain = string & { readonly __brand: 'TrustDomain' };

/** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`: who a workload is (SPIFFE, DECISIONS I1). */
export type ServiceIdentity = string & { readonly __brand: 'ServiceIdentity' };

export interface ServiceAccountRef {
  readonly namespace: string;
  readonly name: string;
}

export function toServiceIdentity(trustDomain: TrustDomain, { namespace, name }: ServiceAccountRef): ServiceIdentity {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${name}` as ServiceIdentity;
}

/** The ServiceAccount behind an identity, or undefined for a URI of another shape. */
export function toServiceAccount(identity: string): ServiceAccountRef | undefined {
  const [, namespace, name] = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(identity) ?? [];
  return namespace !== undefined && name !== undefined ? { namespace, name } : undefined;
}
