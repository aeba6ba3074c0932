import type { HubObject } from '../hub.ts';

/** IdentityBinding (access v1alpha4): workloads of its own namespace by other marks; the schemes are alternatives. */
export interface IdentityBinding extends HubObject {
  readonly kind: 'IdentityBinding';
  readonly podLabelSelector?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  /** With their scheme, whatever was written: `spiffe://corp.example/region/eu/pay`. */
  readonly spiffeIdentities?: readonly string[];
}
