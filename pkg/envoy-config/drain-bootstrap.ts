import type { JsonObject } from './envoy-types.ts';
import { podPorts } from './pod-bootstrap.ts';
import { toLoopbackCluster } from './probe-listener.ts';

/**
 * The configuration of a second Envoy that is run as the preStop hook of the first, in its container: it tells the first
 * one to drain what comes in, by its admin API on loopback, and ends. From then on every answer asks its client to close
 * the connection, and nothing is refused (DECISIONS E9).
 *
 * The kubelet's httpGet can't do that, since it reaches no loopback and does not POST, and a port that passed it on would
 * let everybody in the cluster drain a pod; a shell or curl is in no distroless image. Envoy's health checks can POST:
 * the first round of them drains. Listeners open after that round, and one of them leads to this Envoy's own admin API:
 * so the second round ends it, `holdSeconds` later.
 */
export function toDrainBootstrap(holdSeconds: number): JsonObject {
  const admin = toPipe('admin');
  const door = toPipe('quit');
  const drain = '/drain_listeners?graceful&inboundonly&skip_exit';
  return {
    admin: { address: admin },
    static_resources: {
      clusters: [
        { ...toLoopbackCluster('sidecar', podPorts.admin), health_checks: [toPost(drain, 3600)] },
        { ...toPipeCluster('quit', door), health_checks: [toPost('/quitquitquit', holdSeconds)] },
        toPipeCluster('self', admin),
      ],
      listeners: [
        {
          name: 'quit',
          address: door,
          filter_chains: [
            {
              filters: [
                {
                  name: 'envoy.filters.network.tcp_proxy',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
                    stat_prefix: 'quit',
                    cluster: 'self',
                  },
                },
              ],
            },
          ],
        },
      ],
    },
    stats_config: { stats_matcher: { reject_all: true } },
  };
}

/** Abstract: of this network namespace, and no file. */
function toPipe(name: string): JsonObject {
  return { pipe: { path: `@tulle-drain-${name}` } };
}

function toPost(path: string, intervalSeconds: number): JsonObject {
  return {
    timeout: '1s',
    interval: `${intervalSeconds}s`,
    no_traffic_interval: `${intervalSeconds}s`,
    unhealthy_threshold: 1,
    healthy_threshold: 1,
    http_health_check: { host: 'tulle', method: 'POST', path },
  };
}

function toPipeCluster(name: string, address: JsonObject): JsonObject {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}
