import type { JsonObject } from '../reader.ts';
import type { IdentityBinding } from './identity-binding.ts';

/** The fields of an IdentityBinding; access v1alpha4 is its only version. */
export function encodeIdentityBinding(binding: IdentityBinding): JsonObject {
  const { podLabelSelector, serviceAccount, spiffeIdentities } = binding;
  return {
    spec: {
      schemes: {
        ...(podLabelSelector && { podLabelSelector: { matchLabels: { ...podLabelSelector } } }),
        ...(serviceAccount !== undefined && { serviceAccount }),
        ...(spiffeIdentities && { spiffeIdentities: [...spiffeIdentities] }),
      },
    },
  };
}
