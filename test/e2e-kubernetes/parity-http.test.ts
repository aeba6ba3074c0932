import assert from 'node:assert/strict';
import { applyObjects, pathOf, podsOf, until } from '../support/kubernetes-objects.ts';
import type { CallResult } from './apps/calls.ts';
import { kubectl } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import {
  describeResult,
  namespaceObject,
  openPeer,
  peerObjects,
  serviceObject,
  targetObjects,
  type Peer,
} from './peers.ts';
import { portForward } from './port-forward.ts';

const namespace = 'e2e-http';

function assertOk(result: CallResult | undefined, note = ''): void {
  assert.equal(result?.status, 200, `${note} ${describeResult(result)}`);
}

interface Seen {
  readonly peer: string;
  readonly port: number;
  readonly from: string;
  readonly headers: Readonly<Record<string, string>>;
}

describeMesh('HTTP, as OSM has it', [namespace], (mesh) => {
  let [client, stranger, server]: Peer[] = [];
  let podIp = '';
  const at = (service: string, port: number, path = '/', scheme = 'http'): string =>
    `${scheme}://${service}.${namespace}:${port}${path}`;
  const seen = ({ body }: CallResult): Seen => JSON.parse(body) as Seen;

  before(() =>
    preparing(mesh(), 'http', [namespace], async () => {
      const { api } = mesh();
      const selector = { selector: { app: 'server' } };
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        ...peerObjects({
          namespace,
          name: 'server',
          listen: ['http:8080', 'http:8081', 'grpc:8082', 'h2c:8083', 'http@127.0.0.1:8084'],
          ports: [
            { name: 'web', containerPort: 8080 },
            { name: 'second', containerPort: 8081 },
          ],
        }),
        // Several services of one pod, several ports of one service, a target port by name.
        serviceObject(namespace, 'server', [
          { port: 80, name: 'http', targetPort: 'web' },
          { port: 81, name: 'http-second', targetPort: 'second' },
          { port: 82, name: 'grpc-calls', targetPort: 8082 },
        ]),
        serviceObject(namespace, 'other-name', [{ port: 9080, name: 'web', targetPort: 8081 }], selector),
        // The protocol by appProtocol alone, and by the prefix of the port's name alone.
        serviceObject(namespace, 'by-protocol', [{ port: 8082, name: 'calls', appProtocol: 'grpc' }], selector),
        serviceObject(namespace, 'as-http', [{ port: 8080, name: 'anything', appProtocol: 'http' }], selector),
        ...peerObjects({ namespace, name: 'client' }),
        ...peerObjects({ namespace, name: 'stranger' }),
        ...targetObjects(namespace, 'client', 'server', ['client', 'server']),
        {
          ...serviceObject(namespace, 'elsewhere', []),
          spec: { type: 'ExternalName', externalName: `server.${namespace}.svc.cluster.local` },
        },
      ]);
      [client, stranger, server] = await Promise.all([
        openPeer(api, namespace, 'client'),
        openPeer(api, namespace, 'stranger'),
        openPeer(api, namespace, 'server'),
      ]);
      podIp = (await podsOf(api, namespace, 'app=server'))[0]?.status?.podIP ?? '';
      await client.callUntil(at('server', 80), ({ status }) => status === 200);
    }),
  );

  it('several ports of a service, by the names of the container’s ports', async () => {
    const [first, second] = await client!.calls([{ url: at('server', 80) }, { url: at('server', 81) }]);
    assertOk(first);
    assertOk(second);
    assert.deepEqual([seen(first!).port, seen(second!).port], [8080, 8081]);
  });

  it('several services of one pod', async () => {
    const result = await client!.call(at('other-name', 9080));
    assertOk(result);
    assert.equal(seen(result).port, 8081);
    assert.equal((await stranger!.call(at('other-name', 9080))).status, 403);
  });

  it('every spelling of a service’s name', async () => {
    const names = ['server', `server.${namespace}`, `server.${namespace}.svc`, `server.${namespace}.svc.cluster.local`];
    const results = await client!.calls(names.map((name) => ({ url: `http://${name}/` })));
    results.forEach((result, index) => assertOk(result, names[index]));
  });

  it('any Host that the client sends to the address of a service', async () => {
    const { spec } = await mesh().api.get(pathOf('v1', 'Service', namespace, 'server'));
    assertOk(await client!.call(`http://${spec?.clusterIP}:80/`));
    assertOk(await client!.call({ url: `http://${spec?.clusterIP}:80/`, headers: { host: 'shop.example.org' } }));
  });

  it('gRPC: passes, and is refused with status 7', async () => {
    const url = at('server', 82, '/echo.Echo/Say', 'grpc');
    const result = await client!.call({ url, body: 'ping' });
    assert.equal(result.grpcStatus, 0, describeResult(result));
    assert.match(result.body, /: ping$/);
    const refused = await stranger!.call({ url });
    assert.equal(refused.grpcStatus, 7, describeResult(refused));
  });

  it('gRPC where only appProtocol says so', async () => {
    const result = await client!.call(at('by-protocol', 8082, '/echo.Echo/Say', 'grpc'));
    assert.equal(result.grpcStatus, 0, describeResult(result));
  });

  it('HTTP where only appProtocol says so, with the identity of the caller', async () => {
    const result = await client!.call(at('as-http', 8080));
    assertOk(result);
    assert.match(seen(result).headers['x-forwarded-client-cert'] ?? '', /sa\/client/);
    assert.equal((await stranger!.call(at('as-http', 8080))).status, 403);
  });

  it('WebSocket', async () => {
    const result = await client!.call({ url: at('server', 80, '/ws', 'ws'), body: 'over and out' });
    assert.equal(result.status, 101, describeResult(result));
    assert.equal(result.body, 'over and out');
    assert.equal((await stranger!.call(at('server', 80, '/ws', 'ws'))).status, 403);
  });

  it('an ExternalName is an alias of DNS, and policy holds for what it names', async () => {
    assertOk(await client!.call({ url: at('elsewhere', 80) }));
    assert.equal((await stranger!.call(at('elsewhere', 80))).status, 403);
  });

  it('a pod reaches itself: by its own address and through its service', async () => {
    assertOk(await server!.call(`http://${podIp}:8080/`), 'own address');
    const through = await server!.call(at('server', 80));
    assertOk(through, 'through its service');
    assert.match(seen(through).headers['x-forwarded-client-cert'] ?? '', /sa\/server/);
  });

  it('127.0.0.1 is not intercepted', async () => {
    const result = await server!.call('http://127.0.0.1:8084/');
    assertOk(result);
    assert.equal(seen(result).headers['x-forwarded-client-cert'], undefined);
    const none = await server!.call('http://127.0.0.1:9999/');
    assert.equal(none.error, 'ECONNREFUSED');
  });

  it('DNS is untouched', async () => {
    const { spec } = await mesh().api.get(pathOf('v1', 'Service', namespace, 'server'));
    const found = await client!.order<{ address: string }[]>('/resolve', { name: `server.${namespace}` });
    assert.deepEqual(
      found.map(({ address }) => address),
      [spec?.clusterIP],
    );
  });

  it('kubectl port-forward reaches the app of an injected pod', async () => {
    const forward = await portForward(namespace, `pod/${server!.pod}`, 8080);
    try {
      const answer = await fetch(`http://127.0.0.1:${forward.port}/hello`);
      assert.equal(answer.status, 200);
      assert.equal(((await answer.json()) as Seen).peer, server!.pod);
    } finally {
      await forward.stop();
    }
  });

  it('kubectl exec and logs work as in any pod', async () => {
    const out = await kubectl(['exec', '-n', namespace, server!.pod, '--', 'node', '-p', '6 * 7']);
    assert.equal(out.trim(), '42');
    const log = await kubectl(['logs', '-n', namespace, server!.pod]);
    assert.match(log, /"started"/);
  });

  it('a request that the app answers with an error is the app’s answer', async () => {
    const result = await client!.call(at('server', 80, '/status/503'));
    assert.equal(result.status, 503);
    assert.match(result.body, /"peer"/);
  });

  it('a new replica takes its part', async () => {
    const { api } = mesh();
    const path = pathOf('apps/v1', 'Deployment', namespace, 'server');
    await api.call('PATCH', path, { spec: { replicas: 3 } }, 'application/merge-patch+json');
    await client!.startLoad({ url: at('server', 80), perSecond: 100 });
    await until('answers of three pods', 60, async () => {
      const { by } = await client!.tally();
      return Object.keys(by).filter((key) => key.startsWith('200')).length >= 3 || undefined;
    });
    const tally = await client!.stopLoad();
    assert.equal(tally.failed, 0, JSON.stringify(tally.by));
    await api.call('PATCH', path, { spec: { replicas: 1 } }, 'application/merge-patch+json');
  });
});
