import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { defaultLimits as http1Limits } from '../../../pkg/http1/limits.ts';
import { Deadlines } from '../../../pkg/http1/proxy/deadlines.ts';
import { Http1Frontend } from '../../../pkg/http1/proxy/frontend.ts';
import { defaultTimeouts } from '../../../pkg/http1/proxy/handler.ts';
import { UpstreamPool } from '../../../pkg/http1/proxy/upstream-pool.ts';
import { silentLogger } from '../../../pkg/observability/logger.ts';
import type { PolicyPart, PolicyStore } from '../../../pkg/sidecar/policy-store.ts';
import { runSidecar } from '../../../pkg/sidecar/run-sidecar.ts';
import { createSecrets } from '../../../pkg/sidecar/secrets.ts';
import { appPort, clientIdentity, serverIdentity, serviceKey } from './setup.ts';
import type { ProxySetup } from './setup.ts';
import { toBareHandler } from './bare-handler.ts';

/** As the port of the Service says it. */
const protocols = { http1: 'http', http2: 'http', grpc: 'grpc', tcp: 'tcp' } as const;

/** One proxy of the benchmark: the product's sidecar, or the codec alone. Says its port once it listens. */
const setup = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ProxySetup;
process.on('SIGTERM', () => process.exit(0));
const port = await (setup.engine === 'sidecar' ? startSidecar() : startBare());
process.stdout.write(`${port}\n`);

async function startSidecar(): Promise<number> {
  const { side, between, app, admin } = setup;
  const template = between.replace(String(appPort), '{port}');
  const sidecar = await runSidecar(
    {
      pod: `bookstore/${side}-0`,
      owner: `bookstore/Deployment/${side}`,
      xds: { address: '' },
      inbound: { socketTemplate: template, appHost: '127.0.0.1', appPorts: { [appPort]: app } },
      outbound: { kind: 'redirect', redirect: 'none' },
      admin,
      otlp: setup.otlp === undefined ? [] : [setup.otlp],
    },
    {
      logger: silentLogger,
      version: 'bench',
      source({ store, secrets }) {
        secrets.setRoots(setup.roots);
        secrets.setIdentity(setup);
        fillStore(store, setup);
        return { done: Promise.resolve(), state: () => ({}) };
      },
    },
    new AbortController().signal,
  );
  while (sidecar.notReady() !== undefined) await new Promise((resolve) => setImmediate(resolve));
  return sidecar.data.listeners.list()[0]?.port ?? 0;
}

async function startBare(): Promise<number> {
  const secrets = createSecrets();
  secrets.setRoots(setup.roots);
  secrets.setIdentity(setup);
  const deadlines = new Deadlines(1000);
  deadlines.run(new AbortController().signal);
  const pool = new UpstreamPool({
    limits: http1Limits,
    deadlines,
    maxConnections: 1024,
    maxIdle: 128,
    idleMillis: 60_000,
  });
  const frontend = new Http1Frontend({ limits: http1Limits, timeouts: defaultTimeouts, deadlines, pool });
  const handler = toBareHandler(setup, secrets);
  const accept = (socket: Socket): void => {
    socket.on('error', () => undefined);
    frontend.accept(socket, handler);
  };
  if (setup.side === 'outbound') {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, accept);
    await listen(server, { port: 0, host: '127.0.0.1' });
    return (server.address() as AddressInfo).port;
  }
  const options = { requestCert: true, rejectUnauthorized: true, allowHalfOpen: true, ALPNProtocols: ['http/1.1'] };
  await listen(createTlsServer({ ...secrets.material!.serverOptions, ...options }, accept), { path: setup.between });
  return 0;
}

function listen(server: Server, place: { port: number; host: string } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(place, resolve);
  });
}

function fillStore(target: PolicyStore, { protocol: wire, side, between, sampling }: ProxySetup): void {
  const protocol = protocols[wire];
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
        address: { kind: 'pipe', path: between },
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
      tracing: { sampling: sampling },
    },
  });
  put('inbound', {
    inbound: {
      identity: side === 'outbound' ? clientIdentity : serverIdentity,
      mode: 'enforce',
      modeFrom: 'default',
      ports: side === 'outbound' ? [] : [{ port: appPort, protocol, services: ['bookstore/bookstore'] }],
      rules: [{ origin, sources: [clientIdentity], ...(wire === 'tcp' ? { ports: [appPort] } : { http: [match] }) }],
    },
  });
  const service = {
    key: serviceKey,
    namespace: 'bookstore',
    name: 'bookstore',
    port: appPort,
    protocol,
    addresses: ['10.96.0.1'],
    hostnames: ['bookstore', 'bookstore.bookstore'],
  };
  put('outbound', {
    [serviceKey]: {
      ...service,
      headless: false,
      routes: [
        {
          origin: { kind: 'TrafficSplit', namespace: 'bookstore', name: 'split' },
          backends: [backend('bookstore-v1', 90), backend('bookstore-v2', 10)],
        },
      ],
    },
  });
  put('endpoints', {
    [`bookstore/bookstore-v1:${appPort}`]: endpoint('bookstore-v1'),
    [`bookstore/bookstore-v2:${appPort}`]: endpoint('bookstore-v2'),
  });
  put('directory', { [serviceKey]: service });
}
