import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { allow, createTestMesh, readAll } from './sidecar-mesh.ts';
import type { TestMesh, TestSidecar, TestSidecarOptions } from './sidecar-mesh.ts';

/** An HTTP/1.1 app behind one sidecar, and a client behind another. */
export interface HttpPair {
  readonly mesh: TestMesh;
  readonly client: TestSidecar;
  readonly server: TestSidecar;
  readonly app: Server;
  /** What the app does; set by each test. */
  handler: RequestListener;
  /** Where the client's app sends what is for `cart.shop`. */
  readonly port: () => number;
  /** Sends bytes as they are, and gives all that comes back until the connection ends. */
  send(...parts: readonly (string | Buffer)[]): Promise<string>;
  dial(): Socket;
  stop(): Promise<void>;
}

export async function startHttpPair(
  options: {
    client?: Partial<TestSidecarOptions>;
    server?: Partial<TestSidecarOptions>;
  } = {},
): Promise<HttpPair> {
  const mesh = await createTestMesh();
  const app = createServer((req, res) => pair.handler(req, res)).listen(0, '127.0.0.1');
  await once(app, 'listening');
  const client = await mesh.start({
    namespace: 'shop',
    account: 'web',
    ...options.client,
  });
  const ports = [{ port: 8080, protocol: 'http' as const, services: ['shop/cart'] }];
  const server = await mesh.start({
    namespace: 'shop',
    account: 'cart',
    inbound: { ports, rules: [allow([client.identity])] },
    appPorts: { 8080: (app.address() as AddressInfo).port },
    ...options.server,
  });
  mesh.expose({ namespace: 'shop', name: 'cart', port: 80, targetPort: 8080 }, [server], [client]);
  await Promise.all([client.ready(), server.ready()]);
  const port = (): number => client.portOf('shop/cart:80');
  const dial = (): Socket => connect({ host: '127.0.0.1', port: port(), allowHalfOpen: true });
  const pair: HttpPair = {
    mesh,
    client,
    server,
    app,
    handler: (_req, res) => res.end('ok'),
    port,
    dial,
    async send(...parts) {
      const socket = dial();
      for (const part of parts) socket.write(part);
      const answer = await readAll(socket).catch((error: Error) => error.message);
      socket.destroy();
      return answer;
    },
    async stop() {
      app.closeAllConnections();
      app.close();
      await mesh.stop();
    },
  };
  return pair;
}
