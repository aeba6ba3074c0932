import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp1 } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo, NetConnectOpts, Socket } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { isHttp2Preface, peek, tellsHttpVersion } from '../../pkg/sidecar/first-bytes.ts';
import { type EnvoyMesh, startEnvoyMesh } from '../conformance/envoy-mesh.ts';
import { type NodeMesh, startNodeMesh } from '../conformance/node-mesh.ts';
import { pod, routeGroup, service, snapshotOf, target } from '../support/snapshot.ts';
import { type Hostile, hostileBytes, hostileFields } from './hostile-requests.ts';
import { sendBytes, sendFields } from './raw-http.ts';

const dataPlanes = ['Node', 'Envoy'] as const;

/** One GET is allowed, one by its host, one by a header, and one POST. */
function meshModel(): MeshModel {
  const rules = [{ kind: 'HTTPRouteGroup', name: 'routes' }];
  const matches = [
    { name: 'books', pathRegex: '/books', methods: ['GET'] },
    { name: 'host', pathRegex: '/host', methods: ['GET'], headers: [{ host: 'cart\\.shop' }] },
    { name: 'user', pathRegex: '/user', methods: ['GET'], headers: [{ 'x-user': '1' }] },
    { name: 'cafe', pathRegex: '/caf%C3%A9', methods: ['GET'] },
    { name: 'write', pathRegex: '/write', methods: ['POST'] },
  ];
  const snapshot = snapshotOf({
    services: [service('shop', 'cart', { clusterIPs: ['10.96.0.1'] })],
    pods: [pod('shop', 'cart', { ip: '10.0.0.1' })],
    smi: [routeGroup('shop', 'routes', matches), target('shop', 'to-cart', { to: 'cart', from: ['web'], rules })],
  });
  return buildMesh(snapshot).value;
}

interface App {
  readonly port: number;
  /** `METHOD target authority` of each request that came, in order. */
  readonly heard: string[];
  stop(): void;
}

/** Speaks both versions of HTTP, and is as trusting as apps are. */
async function startApp(): Promise<App> {
  const heard: string[] = [];
  const http1 = createHttp1({ insecureHTTPParser: true }, (req, res) => {
    heard.push(`${req.method} ${req.url} ${req.headers.host}${smuggledOf(req.headers)}`);
    req.resume();
    res.end('served');
  });
  const http2 = createHttp2();
  http2.on('stream', (stream, headers) => {
    heard.push(
      `${headers[':method']} ${headers[':path']} ${headers[':authority'] ?? headers.host}${smuggledOf(headers)}`,
    );
    stream.on('error', () => undefined);
    if (stream.destroyed) return;
    stream.respond({ ':status': 200 });
    stream.end('served');
  });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    peek(socket, 10_000, tellsHttpVersion, (bytes) => {
      if (bytes) (isHttp2Preface(bytes) ? http2 : http1).emit('connection', socket);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** What was hidden in another field must not have become one of its own, nor what only sidecars say have come through. */
function smuggledOf(headers: Readonly<Record<string, unknown>>): string {
  const { 'x-user': user, 'x-tulle-reason': reason, 'x-forwarded-client-cert': cert } = headers;
  const isForged =
    String(cert).includes('sa/admin') || reason === 'no' || (user !== undefined && headers['x-a'] !== undefined);
  return isForged ? ' with a forged header' : '';
}

/** The last answer says what became of what was sent; whoever says nothing has refused. */
function toEnd(status: number | undefined): string {
  if (status === 200) return 'served';
  return status === 403 ? 'denied' : 'refused';
}

async function hold(
  app: App,
  name: (typeof dataPlanes)[number],
  hostile: Hostile,
  send: () => Promise<number | undefined>,
): Promise<void> {
  app.heard.length = 0;
  const status = await send();
  const { ends, heard = ends === 'served' ? ['GET /books cart.shop'] : [] } =
    hostile.but?.through === name ? hostile.but : hostile;
  const came = hostile.late ? app.heard.filter((line) => line !== 'POST /write cart.shop') : [...app.heard];
  assert.deepEqual({ ends: toEnd(status), heard: came }, { ends, heard }, `status ${status}`);
}

for (const name of dataPlanes) {
  describe(`hostile requests through ${name}`, function () {
    this.timeout(30_000);
    let app: App;
    let to: NetConnectOpts;
    let mesh: NodeMesh | EnvoyMesh | undefined;

    before(async function () {
      this.timeout(600_000);
      app = await startApp();
      const model = meshModel();
      if (name === 'Node') {
        const started = await startNodeMesh(model, () => app.port);
        mesh = started;
        const { sidecar } = await started.client('shop/web');
        to = { host: '127.0.0.1', port: sidecar.portOf('10.96.0.1:80') };
      } else {
        const cache = join(homedir(), '.cache', 'tulle');
        const { program } = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true });
        const started = await startEnvoyMesh(program, () => app.port);
        mesh = started;
        const loaded = await started.load(model, ['shop/web']);
        to = loaded.client('shop/web').loopback.locate('10.96.0.1', 80);
      }
    });

    after(async () => {
      await mesh?.stop();
      app.stop();
    });

    for (const hostile of hostileBytes) {
      it(`HTTP/1.1: ${hostile.title}`, () =>
        hold(app, name, hostile, async () => (await sendBytes(to, hostile.bytes)).at(-1)));
    }
    for (const hostile of hostileFields) {
      it(`HTTP/2: ${hostile.title}`, () => hold(app, name, hostile, () => sendFields(to, hostile.fields)));
    }
  });
}
