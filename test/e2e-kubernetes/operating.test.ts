import assert from 'node:assert/strict';
import type { Flow } from '../../pkg/observability/flows.ts';
import {
  applyObject,
  applyObjects,
  deleteObject,
  isReady,
  pathOf,
  podsOf,
  restart,
  rolledOut,
  until,
} from '../support/kubernetes-objects.ts';
import { controlNamespace } from './cluster.ts';
import { tulle } from './command-line.ts';
import { describeMesh, preparing } from './mesh.ts';
import { namespaceObject, openPeer, peerObjects, serviceObject, targetObjects, type Peer } from './peers.ts';
import { portForward } from './port-forward.ts';

const [meshed, plain, leaving, crowd] = ['e2e-operating', 'e2e-operating-plain', 'e2e-leaving', 'e2e-crowd'];
const all = [meshed, plain, leaving, crowd];

describeMesh('a mesh in operation', all, (mesh) => {
  let [thief, outsider, leaver]: Peer[] = [];
  const leavingTarget = targetObjects(leaving, 'client', 'server', ['client']);
  const leavingUrl = `http://server.${leaving}:8080/books`;

  before(() =>
    preparing(mesh(), 'operating', all, async () => {
      const { api } = mesh();
      const scraped = namespaceObject(meshed, { mode: 'shadow' });
      const { annotations } = scraped.metadata;
      await applyObjects(api, [
        {
          ...scraped,
          metadata: { ...scraped.metadata, annotations: { ...annotations, 'tulle.dev/metrics': 'enabled' } },
        },
        namespaceObject(plain, { mesh: '' }),
        namespaceObject(leaving, { mode: 'enforce' }),
        ...peerObjects({ namespace: meshed, name: 'server', listen: ['http:8080'] }),
        serviceObject(meshed, 'server', [{ port: 8080, name: 'http' }]),
        ...peerObjects({ namespace: meshed, name: 'client' }),
        ...peerObjects({ namespace: meshed, name: 'thief' }),
        ...targetObjects(meshed, 'client', 'server', ['client']),
        ...peerObjects({ namespace: plain, name: 'outsider' }),
        ...peerObjects({ namespace: leaving, name: 'server', listen: ['http:8080'] }),
        serviceObject(leaving, 'server', [{ port: 8080, name: 'http' }]),
        ...peerObjects({ namespace: leaving, name: 'client' }),
        ...leavingTarget,
      ]);
      [thief, outsider, leaver] = await Promise.all([
        openPeer(api, meshed, 'thief'),
        openPeer(api, plain, 'outsider'),
        openPeer(api, leaving, 'client'),
        openPeer(api, meshed, 'server'),
        openPeer(api, leaving, 'server'),
      ]);
    }),
  );

  it('is scraped by whoever the pods tell where, from outside of the mesh', async () => {
    const [server] = await podsOf(mesh().api, meshed, 'app=server');
    const told = (key: string): string => server?.metadata.annotations?.[`prometheus.io/${key}`] ?? '';
    assert.deepEqual([told('scrape'), told('port')], ['true', '15010']);
    const { status, body } = await outsider!.call(`http://${server?.status?.podIP}:${told('port')}${told('path')}`);
    assert.equal(status, 200, body.slice(0, 300));
    assert.match(body, /^# TYPE envoy_\w+ counter/m);
    assert.doesNotMatch(body, /BEGIN (EC )?PRIVATE KEY/);
  });

  it('says in shadow mode who would be denied and why: on the page, by explain, and before enforcing', async () => {
    const { api } = mesh();
    const sent = await thief!.callUntil(`http://server.${meshed}:8080/books`, ({ status }) => status === 200);
    assert.equal(sent.status, 200);
    const forward = await portForward(controlNamespace, 'deploy/tulle-controller', 9092);
    try {
      const flow = await until('the report', 30, async () => {
        await thief!.call(`http://server.${meshed}:8080/books`);
        const flows = (await (await fetch(`http://127.0.0.1:${forward.port}/api/flows?since=5m`)).json()) as Flow[];
        return flows.find(({ source, verdict }) => source === `${meshed}/thief` && verdict === 'would-deny');
      });
      assert.match(flow.reason, /SourceNotAllowed/);
      const explained = await tulle('explain', '--trace', flow.example.traceId, '--context', api.context);
      assert.match(explained.out, /would be denied|shadow/i, explained.out);
      assert.match(explained.out, /thief/);
    } finally {
      await forward.stop();
    }
    const preview = await tulle('enforce', meshed, '--context', api.context);
    assert.match(preview.out, /thief/, preview.out);
    assert.match(preview.out, /nothing was changed/);
  });

  it('goes on serving the pods of a namespace that leaves it, says so, and lets go of them when they restart', async () => {
    const { api } = mesh();
    const path = pathOf('v1', 'Namespace', undefined, leaving);
    await leaver!.callUntil(leavingUrl, ({ status }) => status === 200);
    const labels = { 'openservicemesh.io/monitored-by': null };
    await api.call('PATCH', path, { metadata: { labels } }, 'application/merge-patch+json');
    await until('an Event', 20, async () => {
      const events = await api.list(`/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D${leaving}`);
      return events.find(
        ({ reason, involvedObject }) => reason === 'NamespaceLeft' && involvedObject?.kind === 'Namespace',
      );
    });
    const analysis = await tulle('analyze', '--context', api.context);
    assert.match(analysis.out, new RegExp(`Namespace ${leaving}.*NamespaceLeft`), analysis.out);

    await deleteObject(api, leavingTarget[1]!);
    await leaver!.callUntil(leavingUrl, ({ status }) => status === 403, 20);
    await applyObject(api, leavingTarget[1]!);
    await leaver!.callUntil(leavingUrl, ({ status }) => status === 200, 20);

    for (const name of ['server', 'client']) await restart(api, 'Deployment', leaving, name);
    for (const name of ['server', 'client']) await rolledOut(api, 'Deployment', leaving, name);
    const pods = await podsOf(api, leaving);
    assert.ok(pods.filter(isReady).every(({ metadata }) => metadata.annotations?.['tulle.dev/injected'] === undefined));
    const bare = await openPeer(api, leaving, 'client');
    await bare.callUntil(leavingUrl, ({ status }) => status === 200, 20);
  });

  it('refuses none of many pods that start at once', async () => {
    const { api } = mesh();
    await applyObjects(api, [
      namespaceObject(crowd),
      ...peerObjects({ namespace: crowd, name: 'many', replicas: 15, listen: ['http:8080'] }),
    ]);
    await rolledOut(api, 'Deployment', crowd, 'many', 150);
    const [pod] = await podsOf(api, controlNamespace, 'app=tulle-controller');
    const { body } = await api.send('GET', `/api/v1/namespaces/${controlNamespace}/pods/${pod?.metadata.name}/log`);
    const refused = body.split('\n').filter((line) => line.includes('has no address yet'));
    assert.deepEqual(refused, []);
  });

  it('says what it was built from, where that was told to the build', async () => {
    const forward = await portForward(controlNamespace, 'deploy/tulle-controller', 9091);
    try {
      const told = (await (await fetch(`http://127.0.0.1:${forward.port}/version`)).json()) as Record<string, string>;
      const { TULLE_COMMIT: commit = '', TULLE_BUILT: built = '' } = process.env;
      assert.deepEqual([told['git_commit'], told['build_date']], [commit, built]);
      assert.match(told['version'] ?? '', /^\d+\.\d+\.\d+/);
    } finally {
      await forward.stop();
    }
  });
});
