import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { defaultLimits as http1Limits } from '../../../pkg/http1/limits.ts';
import { Deadlines } from '../../../pkg/http1/proxy/deadlines.ts';
import { Http1Frontend } from '../../../pkg/http1/proxy/frontend.ts';
import { defaultTimeouts } from '../../../pkg/http1/proxy/handler.ts';
import { UpstreamPool } from '../../../pkg/http1/proxy/upstream-pool.ts';
import { Metrics } from '../../../pkg/observability/metrics.ts';
import { createBalancer } from '../../../pkg/sidecar/endpoints-balancer.ts';
import { defaultLimits } from '../../../pkg/sidecar/exchange.ts';
import type { HttpSite } from '../../../pkg/sidecar/exchange.ts';
import { createHttpFrontend } from '../../../pkg/sidecar/http-frontend.ts';
import { createHttp1Pool } from '../../../pkg/sidecar/http1-pool.ts';
import { createHttp2Pool } from '../../../pkg/sidecar/http2-pool.ts';
import { createInFlight } from '../../../pkg/sidecar/in-flight.ts';
import { decodeIdentity, toForwardedCert } from '../../../pkg/sidecar/peer-identity.ts';
import type { Peer } from '../../../pkg/sidecar/peer-identity.ts';
import { createPolicyStore } from '../../../pkg/sidecar/policy-store.ts';
import type { PolicyPart, PolicyStore } from '../../../pkg/sidecar/policy-store.ts';
import { createRandomHex } from '../../../pkg/sidecar/random-hex.ts';
import { createRecorder } from '../../../pkg/sidecar/recorder.ts';
import { ruleInbound } from '../../../pkg/sidecar/rule-inbound.ts';
import { ruleOutbound } from '../../../pkg/sidecar/rule-outbound.ts';
import { createSecrets } from '../../../pkg/sidecar/secrets.ts';
import { createTunnels } from '../../../pkg/sidecar/tunnels.ts';
import { toPlainUpstream } from '../../../pkg/sidecar/upstream.ts';
import { appPort, clientIdentity, serverIdentity, serviceKey } from './setup.ts';
import type { ProxySetup } from './setup.ts';
import { toBareHandler } from './bare-handler.ts';
import { toHandler } from './site-handler.ts';

/** One proxy of the benchmark: the policy of a sidecar on one of two HTTP/1.1 engines. */
const setup = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ProxySetup;
const store = createPolicyStore();
fillStore(store, setup);
const secrets = createSecrets();
secrets.setRoots(setup.roots);
secrets.setIdentity(setup);
const now = (): number => Date.now();
const recorder = createRecorder({
  metrics: new Metrics(),
  // Exporting is another process's work; making the span is not.
  record: () => undefined,
  sampling: () => setup.sampling,
  randomHex: createRandomHex(),
  now,
});

const base = {
  direction: setup.side,
  http1: createHttp1Pool({
    maxConnections: 1024,
    maxIdle: 128,
    idleTimeout: 60_000,
  }),
  http2: createHttp2Pool({
    streamsPerSession: 100,
    maxSessions: 16,
    idleTimeout: 60_000,
  }),
  recorder,
  limits: defaultLimits,
  inFlight: createInFlight(),
  draining: () => false,
};
const balancer = createBalancer(now);
const outboundRules = { store, secrets, balancer, random: Math.random };
const inboundRules = {
  store,
  app: () => toPlainUpstream('127.0.0.1', setup.upstream),
};
const blank = (): ReturnType<HttpSite['blank']> => ({
  direction: setup.side,
  protocol: 'http',
  source: '',
  service: serviceKey,
  verdict: 'denied',
});
const site: HttpSite =
  setup.side === 'outbound'
    ? {
        ...base,
        blank,
        rule: (request) => ruleOutbound(outboundRules, serviceKey, 'http', request),
      }
    : {
        ...base,
        blank,
        rule: (request, peer) => ruleInbound(inboundRules, appPort, peer, request),
      };

const accept = setup.engine === 'node' ? acceptWithNode() : acceptWithCodec();

if (setup.side === 'outbound') {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => accept(socket, {}));
  server.listen(setup.listen, '127.0.0.1');
} else {
  const server = createTlsServer(
    {
      ...secrets.material!.serverOptions,
      requestCert: true,
      rejectUnauthorized: true,
      allowHalfOpen: true,
      ALPNProtocols: ['http/1.1'],
      noDelay: true,
    },
    (socket) => {
      const certificate = socket.getPeerX509Certificate();
      const identity = decodeIdentity(certificate?.subjectAltName);
      socket.on('error', () => undefined);
      if (certificate === undefined || identity === undefined) socket.destroy();
      else
        accept(socket, {
          identity,
          forwardedCert: toForwardedCert(serverIdentity, identity, certificate),
        });
    },
  );
  server.listen(setup.listen, '127.0.0.1');
}
process.on('SIGTERM', () => process.exit(0));

function acceptWithNode(): (socket: Socket, peer: Peer) => void {
  const frontend = createHttpFrontend({
    limits: defaultLimits,
    tunnels: createTunnels(),
    halfClosed: 0,
  });
  return (socket, peer) => frontend.accept(socket, 'http/1.1', site, peer);
}

function acceptWithCodec(): (socket: Socket, peer: Peer) => void {
  const deadlines = new Deadlines(1000);
  deadlines.run(new AbortController().signal);
  const pool = new UpstreamPool({
    limits: http1Limits,
    deadlines,
    maxConnections: 1024,
    maxIdle: 128,
    idleMillis: 60_000,
  });
  const frontend = new Http1Frontend({
    limits: http1Limits,
    timeouts: defaultTimeouts,
    deadlines,
    pool,
    halfClose: 'finish',
  });
  const bare = toBareHandler(setup, secrets);
  return (socket, peer) => frontend.accept(socket, setup.engine === 'bare' ? bare : toHandler(site, peer));
}

function fillStore(target: PolicyStore, { side, upstream }: ProxySetup): void {
  const origin = {
    kind: 'TrafficTarget',
    namespace: 'bookstore',
    name: 'bookstore',
  };
  const match = {
    name: 'books',
    origin,
    path: '/books.*',
    methods: ['GET', 'POST'],
  };
  const backend = (service: string, weight: number): object => ({
    weight,
    service,
    port: appPort,
    endpoints: `bookstore/${service}:${appPort}`,
  });
  const endpoint = (service: string): object => ({
    key: `bookstore/${service}:${appPort}`,
    endpoints: [
      {
        address: { kind: 'ip', ip: '127.0.0.1', port: upstream },
        pod: `bookstore/${service}-0`,
        identity: serverIdentity,
        meshed: true,
        ready: true,
        port: appPort,
      },
    ],
  });
  const put = (part: PolicyPart, values: Record<string, object>): void =>
    target.apply(part, {
      upserts: Object.entries(values).map(([name, value]) => ({
        name,
        value: Buffer.from(JSON.stringify(value)),
      })),
      removed: [],
    });
  put('settings', {
    mesh: {
      trustDomain: 'cluster.local',
      egress: 'deny',
      tracing: { sampling: setup.sampling },
    },
  });
  put('inbound', {
    inbound: {
      identity: side === 'outbound' ? clientIdentity : serverIdentity,
      mode: 'enforce',
      modeFrom: 'default',
      ports: [{ port: appPort, protocol: 'http', services: ['bookstore/bookstore'] }],
      rules: [{ origin, sources: [clientIdentity], http: [match] }],
    },
  });
  put('outbound', {
    [serviceKey]: {
      key: serviceKey,
      namespace: 'bookstore',
      name: 'bookstore',
      port: appPort,
      protocol: 'http',
      addresses: [],
      headless: false,
      hostnames: ['bookstore', 'bookstore.bookstore'],
      routes: [
        {
          origin: {
            kind: 'TrafficSplit',
            namespace: 'bookstore',
            name: 'split',
          },
          backends: [backend('bookstore-v1', 90), backend('bookstore-v2', 10)],
        },
      ],
    },
  });
  put('endpoints', {
    [`bookstore/bookstore-v1:${appPort}`]: endpoint('bookstore-v1'),
    [`bookstore/bookstore-v2:${appPort}`]: endpoint('bookstore-v2'),
  });
  put('directory', {});
}
