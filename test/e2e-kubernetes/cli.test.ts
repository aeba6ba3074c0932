import assert from 'node:assert/strict';
import { applyObjects } from '../support/kubernetes-objects.ts';
import { tulle } from './command-line.ts';
import { describeMesh, preparing } from './mesh.ts';
import { namespaceObject, openPeer, peerObjects, serviceObject, targetObjects } from './peers.ts';

const namespace = 'e2e-cli';
describeMesh('the command line and a cluster', [namespace], (mesh) => {
  const context = ['--context', ''];

  before(() =>
    preparing(mesh(), 'cli', [namespace], async () => {
      const { api } = mesh();
      context[1] = api.context;
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        ...peerObjects({ namespace, name: 'server', listen: ['http:8080'] }),
        serviceObject(namespace, 'server', [{ port: 8080, name: 'http' }]),
        ...peerObjects({ namespace, name: 'client' }),
        ...peerObjects({ namespace, name: 'thief' }),
        ...targetObjects(namespace, 'client', 'server', ['client']),
      ]);
      await Promise.all(['server', 'client', 'thief'].map((name) => openPeer(api, namespace, name)));
    }),
  );

  it('check proves that the mesh lets through and denies, and leaves nothing', async () => {
    const { code, out } = await tulle('check');
    assert.equal(code, 0, out);
    const left = await mesh().api.list('/api/v1/namespaces');
    const own = left.filter(
      ({ metadata }) => metadata.name.startsWith('tulle-check') && metadata.deletionTimestamp === undefined,
    );
    assert.deepEqual(own, []);
  });

  it('explain says what the sidecars do', async () => {
    const to = `${namespace}/server:8080`;
    for (const [name, status, word] of [
      ['client', 200, 'ALLOWED'],
      ['thief', 403, 'DENIED'],
    ] as const) {
      const peer = await openPeer(mesh().api, namespace, name);
      const answer = await peer.call(`http://server.${namespace}:8080/books`);
      assert.equal(answer.status, status);
      const { out } = await tulle('explain', `${namespace}/${name}`, to, 'GET', '/books', ...context);
      assert.match(out, new RegExp(word), out);
    }
  });

  it('proxy status shows each sidecar in sync', async () => {
    const { code, out } = await tulle('proxy', 'status', ...context);
    assert.equal(code, 0, out);
    const own = out.split('\n').filter((line) => line.startsWith(`${namespace}/`));
    assert.equal(own.length, 3, out);
    assert.ok(
      own.every((line) => line.includes('in sync')),
      out,
    );
  });

  it('namespace list knows the namespace and its mode', async () => {
    const { code, out } = await tulle('namespace', 'list');
    assert.equal(code, 0, out);
    assert.match(out, new RegExp(`${namespace}\\s.*enforce`), out);
  });
});
