import type { Cluster } from './envoy-cluster-types.ts';
import type { HttpFilter } from './envoy-http-types.ts';
import type { JsonObject } from './envoy-types.ts';
import { egressName } from './names.ts';

/** Names outside of the mesh are resolved by Envoy: an explicit proxy is given names, not addresses. */
const dnsCache: JsonObject = {
  name: 'egress',
  dns_lookup_family: 'V4_PREFERRED',
};

export function toEgressFilter(): HttpFilter {
  return {
    name: 'envoy.filters.http.dynamic_forward_proxy',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig',
      dns_cache_config: dnsCache,
    },
  };
}

export const egressCluster: Cluster = {
  '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  name: egressName,
  lb_policy: 'CLUSTER_PROVIDED',
  connect_timeout: '5s',
  cluster_type: {
    name: 'envoy.clusters.dynamic_forward_proxy',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig',
      dns_cache_config: dnsCache,
    },
  },
};
