/** What every SMI object has once decoded, whatever version it came in. */
export interface HubObject {
  /** As written: `split.smi-spec.io/v1alpha2`. */
  readonly apiVersion: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** RFC 3339; absent in files. */
  readonly creationTimestamp?: string;
}
