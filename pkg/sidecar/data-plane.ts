import type { Metrics } from '../observability/metrics.ts';
import type { AppProtocol } from '../policy/inbound.ts';
import type { Direction } from './call.ts';
import type { SidecarConfig } from './config.ts';
import { toSocketPath } from './config.ts';
import { createBalancer, toEndpointKey } from './endpoints-balancer.ts';
import type { HttpSite, Limits } from './exchange.ts';
import { createHeaderNames } from './header-names.ts';
import { createHttpFrontend } from './http-frontend.ts';
import type { HttpFrontend } from './http-frontend.ts';
import { createHttp2Pool } from './http2-pool.ts';
import { createInFlight } from './in-flight.ts';
import type { InFlight } from './in-flight.ts';
import { createInboundServer } from './inbound-server.ts';
import type { InboundServer } from './inbound-server.ts';
import { toOutsideUpstream } from './egress-client.ts';
import { createOutboundListeners } from './outbound-listener.ts';
import type { OutboundListeners, OutboundOptions, OutboundTarget } from './outbound-listener.ts';
import type { PolicyStore } from './policy-store.ts';
import type { Recorder } from './recorder.ts';
import { ruleEgress } from './rule-egress.ts';
import { ruleInbound } from './rule-inbound.ts';
import { ruleOutbound } from './rule-outbound.ts';
import type { Secrets } from './secrets.ts';
import type { TcpSite } from './tcp-forward.ts';
import { createTunnels } from './tunnels.ts';
import type { Tunnels } from './tunnels.ts';
import { createEndpointUpstreams, toPlainUpstream } from './upstream.ts';
import type { Upstream } from './upstream.ts';

export interface DataPlaneOptions {
  readonly config: SidecarConfig;
  readonly store: PolicyStore;
  readonly secrets: Secrets;
  readonly recorder: Recorder;
  readonly metrics: Metrics;
  readonly limits: Limits;
  readonly random: () => number;
  readonly now: () => number;
  readonly onError: (what: string, error: Error) => void;
}

/** One direction's connections. */
export interface Side {
  readonly frontend: HttpFrontend;
  readonly tunnels: Tunnels;
  readonly inFlight: InFlight;
  /** Everything stops at the end of what is under way. */
  draining: boolean;
  closePools(): void;
}

/** What carries traffic, in both directions. */
export interface DataPlane {
  readonly inbound: Side;
  readonly outbound: Side;
  readonly inboundServer: InboundServer | undefined;
  readonly listeners: OutboundListeners;
  readonly outboundOptions: OutboundOptions;
  /** For a host that is not of the mesh. */
  egressSite(host: string, port: number): HttpSite;
  readonly outboundTcp: TcpSite;
  /** Policy or endpoints have changed: what is open is asked again, what is gone is forgotten. */
  refresh(): void;
}

/** An app that closes idle connections does so after 5 s at the earliest (Node's default; others wait longer). */
const appIdle = 4_000;
const peerIdle = 60_000;

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { config, store, secrets, recorder, metrics, limits, random, now, onError } = options;
  const balancer = createBalancer(now);
  const inbound = createSide(options, 'inbound');
  const outbound = createSide(options, 'outbound');
  const ejected = metrics.gauge('tulle_endpoints_ejected', 'Endpoints that are left out for a while.');
  metrics.onCollect(() => ejected.set(balancer.ejected));

  const rules = { store, secrets, balancer, random, upstreamOf: createEndpointUpstreams(() => secrets.material) };
  const { outside } = config.outbound.kind === 'redirect' ? config.outbound : {};
  const egressUpstream = (host: string, port: number): Upstream =>
    outside ? toOutsideUpstream(outside, host, port) : toPlainUpstream(host, port);
  const outboundOptions: OutboundOptions = {
    frontend: outbound.frontend,
    tcp: { recorder, tunnels: outbound.tunnels, idleTimeout: limits.tcpIdle },
    limits,
    site: ({ key, protocol, podIp }) => ({
      ...outbound.base,
      blank: () => blankCall('outbound', key, protocol),
      rule: (request) => ruleOutbound(rules, key, protocol, request, podIp),
    }),
    rule: ({ key, protocol, podIp }) => ruleOutbound(rules, key, protocol, undefined, podIp),
    fixedPort: (target) => fixedPort(config, target),
  };

  return {
    inbound,
    outbound,
    inboundServer: config.inbound && createInbound(options, inbound, config.inbound, onError),
    listeners: createOutboundListeners(outboundOptions),
    outboundOptions,
    outboundTcp: outboundOptions.tcp,
    egressSite: (host, port) => ({
      ...outbound.base,
      blank: () => blankCall('outbound', `*/${host}:${port}`, 'http'),
      rule: () => ruleEgress(store, host, port, 'http', egressUpstream(host, port)),
    }),
    refresh() {
      inbound.tunnels.recheck();
      outbound.tunnels.recheck();
      const keys = new Set<string>();
      for (const { endpoints } of store.endpoints.values()) {
        for (const endpoint of endpoints) keys.add(toEndpointKey(endpoint));
      }
      balancer.retain(keys);
    },
  };
}

type Base = Omit<HttpSite, 'rule' | 'blank'>;

function createSide(
  { recorder, limits, store, onError }: DataPlaneOptions,
  direction: Direction,
): Side & { readonly base: Base } {
  const tunnels = createTunnels();
  const inFlight = createInFlight();
  const onCrash = (error: unknown): void => onError('an HTTP/2 stream', error as Error);
  const http2 = createHttp2Pool({
    onCrash,
    streamsPerConnection: 100,
    maxConnections: 16,
    idleTimeout: peerIdle,
  });
  const side = {
    tunnels,
    inFlight,
    frontend: createHttpFrontend({
      onCrash,
      limits,
      tunnels,
      halfClosed: direction === 'inbound' ? 0 : 1_000,
      upstreamIdle: direction === 'inbound' ? appIdle : peerIdle,
    }),
    draining: false,
    base: {
      direction,
      http2,
      recorder,
      limits,
      inFlight,
      headerNames: createHeaderNames(store, direction),
      draining: () => side.draining,
    },
    closePools() {
      http2.close();
    },
  };
  return side;
}

function createInbound(
  { store, secrets, recorder, limits }: DataPlaneOptions,
  side: Side & { readonly base: Base },
  { socketTemplate, appHost, appPorts }: NonNullable<SidecarConfig['inbound']>,
  onError: DataPlaneOptions['onError'],
): InboundServer {
  const apps = new Map<number, Upstream>();
  const app = (port: number): Upstream => {
    let upstream = apps.get(port);
    if (!upstream) apps.set(port, (upstream = toPlainUpstream(appHost, appPorts?.[String(port)] ?? port)));
    return upstream;
  };
  const rules = { store, app };
  return createInboundServer({
    rules,
    secrets,
    frontend: side.frontend,
    tcp: { recorder, tunnels: side.tunnels, idleTimeout: limits.tcpIdle },
    address: (port) => toSocketPath(socketTemplate, port),
    site: (port) => ({
      ...side.base,
      blank: () => blankCall('inbound', `${serviceOf(store, port)}:${port}`, 'http'),
      rule: (request, peer) => ruleInbound(rules, port, peer, request),
    }),
    onError: (port, error) => onError(`the socket of port ${port}`, error),
  });
}

function serviceOf(store: PolicyStore, port: number): string {
  return store.inbound?.ports.find((candidate) => candidate.port === port)?.services[0] ?? 'unknown/unknown';
}

function blankCall(direction: Direction, service: string, protocol: AppProtocol) {
  return {
    direction,
    protocol,
    source: '',
    service,
    verdict: 'denied' as const,
  };
}

function fixedPort({ outbound }: SidecarConfig, { key }: OutboundTarget): number | undefined {
  return outbound.kind === 'proxy' ? outbound.tcp?.find(({ service }) => service === key)?.port : undefined;
}
