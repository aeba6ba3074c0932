import type { HTTPRouteGroup } from './http-route-group/http-route-group.ts';
import type { IdentityBinding } from './identity-binding/identity-binding.ts';
import type { TCPRoute } from './tcp-route/tcp-route.ts';
import type { TrafficSplit } from './traffic-split/traffic-split.ts';
import type { TrafficTarget } from './traffic-target/traffic-target.ts';
import type { UDPRoute } from './udp-route/udp-route.ts';

/** Every SMI object, decoded. */
export type SmiObject = TrafficTarget | IdentityBinding | HTTPRouteGroup | TCPRoute | UDPRoute | TrafficSplit;

/** Every kind that Tulle reads, with all its versions, newest last: the hub. */
export const smiKinds = [
  { group: 'access.smi-spec.io', kind: 'TrafficTarget', versions: ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] },
  { group: 'access.smi-spec.io', kind: 'IdentityBinding', versions: ['v1alpha4'] },
  { group: 'specs.smi-spec.io', kind: 'HTTPRouteGroup', versions: ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] },
  { group: 'specs.smi-spec.io', kind: 'TCPRoute', versions: ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] },
  { group: 'specs.smi-spec.io', kind: 'UDPRoute', versions: ['v1alpha4'] },
  { group: 'split.smi-spec.io', kind: 'TrafficSplit', versions: ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] },
] as const;
