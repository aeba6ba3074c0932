import assert from 'node:assert/strict';
import { applyObjects, applyObject, deleteObject, pathOf, podsOf, until } from '../support/kubernetes-objects.ts';
import { controlNamespace } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { namespaceObject, openPeer, peerObjects, serviceObject, targetObjects, type Peer } from './peers.ts';

const [meshed, plain, open] = ['e2e-access', 'e2e-plain', 'e2e-open'];

describeMesh('access in a meshed namespace', [meshed, plain, open], (mesh) => {
  let [client, thief, outsider]: Peer[] = [];
  const books = `http://server.${meshed}:8080/books`;
  const target = targetObjects(meshed, 'client-to-server', 'server', ['client'], {
    pathRegex: '/books',
    methods: ['GET'],
  });

  before(() =>
    preparing(mesh(), 'access', [meshed, plain, open], async () => {
      const { api } = mesh();
      await applyObjects(api, [
        namespaceObject(meshed, { mode: 'enforce' }),
        namespaceObject(plain, { mesh: '' }),
        namespaceObject(open, { mode: 'permissive' }),
        ...peerObjects({ namespace: open, name: 'server', listen: ['http:8080', 'http:9999', 'http@127.0.0.1:9998'] }),
        serviceObject(open, 'server', [{ port: 8080, name: 'http' }]),
        ...peerObjects({ namespace: meshed, name: 'server', listen: ['http:8080'] }),
        serviceObject(meshed, 'server', [{ port: 8080, name: 'http' }]),
        ...peerObjects({ namespace: meshed, name: 'client' }),
        ...peerObjects({ namespace: meshed, name: 'thief' }),
        ...peerObjects({ namespace: plain, name: 'outsider' }),
        ...peerObjects({ namespace: plain, name: 'open', listen: ['http:8080'] }),
        serviceObject(plain, 'open', [{ port: 8080, name: 'http' }]),
        ...target,
      ]);
      [client, thief, outsider] = await Promise.all([
        openPeer(api, meshed, 'client'),
        openPeer(api, meshed, 'thief'),
        openPeer(api, plain, 'outsider'),
        openPeer(api, meshed, 'server'),
        openPeer(api, plain, 'open'),
        openPeer(api, open, 'server'),
      ]);
    }),
  );

  it('injects the sidecar and starts the app after it', async () => {
    const [pod] = await podsOf(mesh().api, meshed, 'app=server');
    const names = (pod?.spec?.initContainers ?? []).map(({ name }) => name);
    assert.deepEqual(names, ['tulle-init', 'envoy']);
    assert.ok(pod?.metadata.annotations?.['tulle.dev/injected']);
  });

  it('allows what the TrafficTarget grants', async () => {
    const { status, body } = await client!.callUntil(books, (answer) => answer.status === 200);
    assert.equal(status, 200);
    const { headers } = JSON.parse(body) as { headers: Record<string, string> };
    assert.equal(headers['x-forwarded-client-cert']?.includes(`/ns/${meshed}/sa/client`), true, body);
  });

  it('refuses another path, method or account with 403 and the reason', async () => {
    const [path, method] = await client!.calls([
      { url: `http://server.${meshed}:8080/other` },
      { url: books, method: 'POST', body: 'x' },
    ]);
    assert.deepEqual([path?.status, method?.status], [403, 403]);
    assert.match(path?.body ?? '', /RBAC: access denied.*RequestNotAllowed/s);
    const stranger = await thief!.call(books);
    assert.equal(stranger.status, 403);
    assert.match(stranger.body, /RBAC: access denied.*SourceNotAllowed/s);
  });

  it('refuses an un-meshed client: by its address, by name', async () => {
    const [server] = await podsOf(mesh().api, meshed, 'app=server');
    for (const url of [books, `http://${server?.status?.podIP}:8080/books`]) {
      const { status, error } = await outsider!.call(url);
      assert.ok(status === 403 || (status === 0 && error !== undefined), `${url}: ${status} ${error}`);
    }
  });

  it('permissive opens what a pod without a sidecar has open, and nothing of the sidecar', async () => {
    const [server] = await podsOf(mesh().api, open, 'app=server');
    const at = (port: number): string => `http://${server?.status?.podIP}:${port}/`;
    await outsider!.callUntil(at(8080), ({ status }) => status === 200);
    // A port without Service; what listens on loopback alone, of the app and of the sidecar; the sidecar's own ports.
    assert.equal((await outsider!.call(at(9999))).status, 200);
    for (const caller of [outsider!, client!])
      for (const port of [9998, 15000, 15001, 15003]) {
        const { status, error } = await caller.call(at(port));
        assert.ok(status === 0 && error !== undefined, `${port}: ${status}`);
      }
    for (const port of [8080, 9999]) assert.equal((await outsider!.call(at(port))).status, 200);
  });

  it('reaches an un-meshed server in plaintext', async () => {
    const { status, body } = await client!.call(`http://open.${plain}:8080/x`);
    assert.equal(status, 200, body);
  });

  it('takes a TrafficTarget back, and gives it again', async () => {
    const { api } = mesh();
    await deleteObject(api, target[1]!);
    await client!.callUntil(books, ({ status }) => status === 403, 20);
    await applyObject(api, target[1]!);
    await client!.callUntil(books, ({ status }) => status === 200, 20);
  });

  it('switches the namespace from enforce to permissive and back, live', async () => {
    const { api } = mesh();
    const path = pathOf('v1', 'Namespace', undefined, meshed);
    const setMode = (mode: string | null): Promise<unknown> =>
      api.call(
        'PATCH',
        path,
        { metadata: { annotations: { 'tulle.dev/mode': mode } } },
        'application/merge-patch+json',
      );
    await setMode('permissive');
    await thief!.callUntil(books, ({ status }) => status === 200, 20);
    await outsider!.callUntil(books, ({ status }) => status === 200, 20);
    await setMode('enforce');
    await thief!.callUntil(books, ({ status }) => status === 403, 20);
    await outsider!.callUntil(books, ({ status }) => status !== 200, 20);
  });

  it('shadow: everything passes', async () => {
    const { api } = mesh();
    const path = pathOf('v1', 'Namespace', undefined, meshed);
    const setMode = (mode: string): Promise<unknown> =>
      api.call(
        'PATCH',
        path,
        { metadata: { annotations: { 'tulle.dev/mode': mode } } },
        'application/merge-patch+json',
      );
    await setMode('shadow');
    try {
      await thief!.callUntil(books, ({ status }) => status === 200, 20);
      await outsider!.callUntil(books, ({ status }) => status === 200, 20);
    } finally {
      await setMode('enforce');
    }
    await thief!.callUntil(books, ({ status }) => status === 403, 20);
  });

  it('tells what is wrong with an object as one Event on it', async () => {
    const { api } = mesh();
    const [group, wrong] = targetObjects(meshed, 'wrong', 'nobody', ['client']);
    await applyObjects(api, [group!, wrong!]);
    const events = await until('an Event', 20, async () => {
      const all = await api.list(`/api/v1/namespaces/${meshed}/events?fieldSelector=involvedObject.name%3Dwrong`);
      // The group comes by a watch of its own, and may come later: that it was missing may have been told as well.
      const lasting = all.filter(({ reason }) => reason !== 'RouteNotFound');
      return lasting.length > 0 ? lasting : undefined;
    });
    assert.deepEqual(
      events.map(({ involvedObject, reason }) => [involvedObject?.kind, reason]),
      [['TrafficTarget', 'ServiceAccountUnused']],
    );
  });

  it('takes the mode from a patch of the MeshConfig, where the namespace says nothing', async () => {
    const { api } = mesh();
    const config = pathOf('config.openservicemesh.io/v1alpha2', 'MeshConfig', controlNamespace, 'osm-mesh-config');
    const namespace = pathOf('v1', 'Namespace', undefined, meshed);
    const patch = (path: string, body: object): Promise<unknown> =>
      api.call('PATCH', path, body, 'application/merge-patch+json');
    const setPermissive = (value: boolean | null): Promise<unknown> =>
      patch(config, { spec: { traffic: { enablePermissiveTrafficPolicyMode: value } } });
    await until('the MeshConfig', 10, () => api.find(config));
    try {
      await patch(namespace, { metadata: { annotations: { 'tulle.dev/mode': null } } });
      await thief!.callUntil(books, ({ status }) => status === 200, 20);
      await setPermissive(false);
      await thief!.callUntil(books, ({ status }) => status === 403, 20);
      await client!.callUntil(books, ({ status }) => status === 200, 20);
      await setPermissive(true);
      await thief!.callUntil(books, ({ status }) => status === 200, 20);
    } finally {
      await setPermissive(null);
      await patch(namespace, { metadata: { annotations: { 'tulle.dev/mode': 'enforce' } } });
    }
    await thief!.callUntil(books, ({ status }) => status === 403, 20);
  });
});
