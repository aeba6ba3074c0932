import { toBootstrap } from './bootstrap.ts';
import type { Bootstrap, BootstrapOptions } from './bootstrap.ts';
import type { JsonObject } from './envoy-types.ts';
import { probeStatPrefixes, toHttpListener, toLoopbackCluster, toProbeParts, toRoute } from './probe-listener.ts';
import type { ProbeListener } from './probe-listener.ts';

/** Ports of a sidecar in a pod; 15001 and 15003 come over ADS. Apps must not use them. */
export const podPorts = {
  admin: 15000,
  outbound: 15001,
  inbound: 15003,
  metrics: 15010,
  ready: 15021,
  /** The first for probes; more follow. */
  probes: 15901,
} as const;

/** The user that Envoy runs as: the packet rules let its own connections pass. */
export const proxyUid = 1500;

/** Where token and roots are mounted in the sidecar. */
export const podDirectory = '/var/run/tulle';

export interface ControlPlaneService {
  readonly namespace: string;
  readonly service: string;
  readonly xdsPort: number;
  readonly otlpPort: number;
  /** Present: dialled instead of the name, which is checked in the certificate all the same. */
  readonly ip?: string;
}

export interface PodBootstrapOptions {
  /** `namespace/serviceaccount` */
  readonly nodeCluster: string;
  readonly controlPlane: ControlPlaneService;
  /** Pods have IPv6 addresses that are to be listened on. */
  readonly ipv6: boolean;
  /** With a listener for Prometheus. */
  readonly metrics: boolean;
  readonly probes: readonly ProbeListener[];
}

/** What the sidecars of pods trust and prove themselves by: the same for all pods (DECISIONS I4). */
export function toPodTrust({
  namespace,
  service,
}: Pick<ControlPlaneService, 'namespace' | 'service'>): NonNullable<BootstrapOptions['xdsTrust']> {
  return {
    rootsFile: `${podDirectory}/roots.pem`,
    tokenFile: `${podDirectory}/token`,
    serverName: `${service}.${namespace}.svc`,
    directory: podDirectory,
  };
}

/**
 * The bootstrap of an injected pod. Which pod it is isn't known when the pod is admitted: `--service-node` says it.
 * Nothing in it is secret.
 */
export function toPodBootstrap({
  nodeCluster,
  controlPlane,
  ipv6,
  metrics,
  probes,
}: PodBootstrapOptions): Omit<Bootstrap, 'node'> & { readonly node: { readonly cluster: string } } {
  const bind = (port: number): JsonObject => ({
    socket_address: ipv6 ? { address: '::', port_value: port, ipv4_compat: true } : toV4(port),
  });
  const trust = toPodTrust(controlPlane);
  const host = controlPlane.ip ?? trust.serverName;
  const probeParts = toProbeParts(probes, bind);
  const { node, ...bootstrap } = toBootstrap({
    nodeId: '',
    nodeCluster,
    xds: { socket_address: { address: host, port_value: controlPlane.xdsPort } },
    xdsTrust: trust,
    otlp: { socket_address: { address: host, port_value: controlPlane.otlpPort } },
    otlpTrust: trust,
    nameLookup: { families: ipv6 ? 'ALL' : 'V4_ONLY' },
    admin: { socket_address: { address: '127.0.0.1', port_value: podPorts.admin } },
    listeners: [
      toAdminListener('ready', bind(podPorts.ready), '/ready'),
      ...(metrics ? [toAdminListener('metrics', bind(podPorts.metrics), '/stats/prometheus')] : []),
      ...probeParts.listeners,
    ],
    clusters: [toLoopbackCluster(adminCluster, podPorts.admin), ...probeParts.clusters],
    ...(probes.some(({ kind }) => kind === 'tcp') ? { statPrefixes: probeStatPrefixes } : {}),
  });
  return { node: { cluster: node.cluster }, ...bootstrap };
}

const adminCluster = 'tulle-admin';

/** One page of the admin API for everybody; the rest of it stays on loopback (DECISIONS E11). */
function toAdminListener(name: string, address: JsonObject, path: string): JsonObject {
  const route = toRoute({ method: 'GET', target: path, cluster: adminCluster });
  return toHttpListener({ name, address, codec: 'HTTP1', routes: [route] });
}

function toV4(port: number): JsonObject {
  return { address: '0.0.0.0', port_value: port };
}
