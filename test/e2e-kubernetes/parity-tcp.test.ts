import assert from 'node:assert/strict';
import { applyObjects, isReady, podsOf, rolledOut, until } from '../support/kubernetes-objects.ts';
import { describeMesh, preparing } from './mesh.ts';
import {
  describeResult,
  namespaceObject,
  openPeer,
  peerObjects,
  serviceObject,
  targetObjects,
  tcpTargetObjects,
  type Peer,
} from './peers.ts';

const namespace = 'e2e-tcp';

describeMesh('TCP, headless services and StatefulSets, as OSM has them', [namespace], (mesh) => {
  let [client, stranger]: Peer[] = [];
  const at = (name: string, port: number, scheme = 'tcp'): string => `${scheme}://${name}.${namespace}:${port}/`;

  before(() =>
    preparing(mesh(), 'tcp', [namespace], async () => {
      const { api } = mesh();
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        ...peerObjects({ namespace, name: 'echo', listen: ['tcp:9000', 'first:9001', 'tcp:9002'] }),
        serviceObject(namespace, 'echo', [
          { port: 9000, name: 'tcp-lines' },
          { port: 9001, name: 'greeting', appProtocol: 'tcp-server-first' },
          { port: 9002, name: 'tcp-closed' },
        ]),
        ...peerObjects({
          namespace,
          name: 'member',
          kind: 'StatefulSet',
          replicas: 2,
          listen: ['http:8080', 'tcp:9000'],
          pod: {},
        }),
        serviceObject(
          namespace,
          'member',
          [
            { port: 8080, name: 'http' },
            { port: 9000, name: 'tcp-lines' },
          ],
          { clusterIP: 'None' },
        ),
        ...peerObjects({ namespace, name: 'client' }),
        ...peerObjects({ namespace, name: 'stranger' }),
        // 9002 is not among the ports.
        ...tcpTargetObjects(namespace, 'echo', 'echo', ['client'], [9000, 9001]),
        ...targetObjects(namespace, 'member-http', 'member', ['client', 'member']),
        ...tcpTargetObjects(namespace, 'member-tcp', 'member', ['client', 'member'], [9000]),
      ]);
      [client, stranger] = await Promise.all([
        openPeer(api, namespace, 'client'),
        openPeer(api, namespace, 'stranger'),
        openPeer(api, namespace, 'echo'),
        rolledOut(api, 'StatefulSet', namespace, 'member'),
      ]);
      await client.callUntil(at('echo', 9000), ({ status }) => status === 200);
    }),
  );

  it('TCP passes to whom a TCPRoute names, and is closed for others', async () => {
    const result = await client!.call({ url: at('echo', 9000), body: 'ping' });
    assert.match(result.body, /^echo response from .*: ping$/);
    const refused = await stranger!.call({ url: at('echo', 9000), timeoutMs: 5000 });
    assert.equal(refused.status, 0, describeResult(refused));
    assert.notEqual(refused.error, 'timeout', 'closed, not left hanging');
  });

  it('a port that the TCPRoute does not name is closed', async () => {
    const refused = await client!.call({ url: at('echo', 9002), timeoutMs: 5000 });
    assert.equal(refused.status, 0, describeResult(refused));
  });

  it('a server that speaks first is heard, and not by whom is denied', async () => {
    const result = await client!.call(at('echo', 9001, 'first'));
    assert.match(result.body, /^greetings from /, describeResult(result));
    assert.ok(result.ms < 500, `${result.ms} ms: nothing waits for the client’s first byte`);
    const refused = await stranger!.call(at('echo', 9001, 'first'));
    assert.equal(refused.body, '', 'not a byte leaks');
    assert.equal(refused.status, 0);
  });

  it('a headless service: HTTP and TCP to its endpoints', async () => {
    const found = await client!.order<{ address: string }[]>('/resolve', { name: `member.${namespace}` });
    const results = await client!.calls(found.map(({ address }) => ({ url: `http://${address}:8080/` })));
    results.forEach((result) => assert.equal(result.status, 200, describeResult(result)));
    const peers = results.map(({ body }) => (JSON.parse(body) as { peer: string }).peer);
    assert.deepEqual(peers.sort(), ['member-0', 'member-1']);
    assert.equal((await client!.call(`http://member.${namespace}:8080/`)).status, 200, 'by name');
    const tcp = await client!.call(at('member', 9000));
    assert.equal(tcp.status, 200, describeResult(tcp));
    assert.equal((await stranger!.call(`http://member.${namespace}:8080/`)).status, 403);
  });

  it('a pod of a StatefulSet by its own name', async () => {
    for (const name of ['member-0', 'member-1']) {
      const result = await client!.callUntil(
        `http://${name}.member.${namespace}.svc.cluster.local:8080/`,
        ({ status }) => status === 200,
      );
      assert.equal((JSON.parse(result.body) as { peer: string }).peer, name);
      const tcp = await client!.call(`tcp://${name}.member.${namespace}:9000`);
      assert.match(tcp.body, new RegExp(`from ${name}:`));
    }
    assert.equal((await stranger!.call(`http://member-0.member.${namespace}:8080/`)).status, 403);
  });

  it('members of a StatefulSet reach each other', async () => {
    const member = await openPeer(mesh().api, namespace, 'member');
    const other = member.pod === 'member-0' ? 'member-1' : 'member-0';
    const result = await member.call(`http://${other}.member.${namespace}:8080/`);
    assert.equal(result.status, 200, describeResult(result));
  });

  it('a member that comes back with another address is found again', async () => {
    const { api } = mesh();
    const [before] = (await podsOf(api, namespace, 'app=member')).filter(
      ({ metadata }) => metadata.name === 'member-1',
    );
    await api.call('DELETE', `/api/v1/namespaces/${namespace}/pods/member-1`);
    await until('a new member-1', 60, async () => {
      const pods = await podsOf(api, namespace, 'app=member');
      const pod = pods.find(({ metadata }) => metadata.name === 'member-1');
      return (pod !== undefined && pod.metadata.uid !== before?.metadata.uid && isReady(pod)) || undefined;
    });
    const result = await client!.callUntil(
      `http://member-1.member.${namespace}:8080/`,
      ({ status }) => status === 200,
      40,
    );
    assert.equal((JSON.parse(result.body) as { peer: string }).peer, 'member-1');
  });
});
