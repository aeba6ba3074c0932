import assert from 'node:assert/strict';
import type { KubernetesObject } from '../support/kubernetes-api.ts';
import { applyObjects, pathOf, podsOf, restart, rolledOut, until } from '../support/kubernetes-objects.ts';
import type { AdsAnswer } from './apps/ads.ts';
import { controlNamespace } from './cluster.ts';
import { tulle } from './command-line.ts';
import { layoutOf, setLayout } from './layout-of-pods.ts';
import { followLoads } from './load-of-pods.ts';
import { describeMesh, preparing } from './mesh.ts';
import {
  accountObject,
  describeTally,
  namespaceObject,
  openPeer,
  type Peer,
  peerObjects,
  peerPod,
  serviceObject,
  targetObjects,
} from './peers.ts';

const namespace = 'e2e-fast';
const url = `http://server.${namespace}:8080`;

describeMesh('pods that start fast', [namespace], (mesh) => {
  let client: Peer | undefined;
  const pods = pathOf('v1', 'Pod', namespace);

  before(() =>
    preparing(mesh(), 'fast-start', [namespace], async () => {
      const { api } = mesh();
      const past = { 'tulle.dev/outbound-port-exclusion-list': '15128' };
      await applyObjects(api, [namespaceObject(namespace, { mode: 'enforce' })]);
      await setLayout(api, namespace, 'fast');
      await applyObjects(api, [
        ...peerObjects({ namespace, name: 'server', replicas: 2, listen: ['http:8080'] }),
        serviceObject(namespace, 'server', [{ port: 8080, name: 'http' }]),
        ...targetObjects(namespace, 'open', 'server', ['client'], { pathRegex: '/open', methods: ['GET'] }),
        accountObject(namespace, 'client'),
        accountObject(namespace, 'broken'),
      ]);
      await rolledOut(api, 'Deployment', namespace, 'server');
      const load = { url: `${url}/open`, perSecond: 100 };
      await applyObjects(api, peerObjects({ namespace, name: 'client', annotations: past, load }));
      client = await openPeer(api, namespace, 'client');
    }),
  );
  after(() => setLayout(mesh().api, namespace, 'native'));

  it('have no init entry, and what is granted passes and all else is denied', async () => {
    const [pod] = await podsOf(mesh().api, namespace, 'app=server');
    assert.equal(pod && layoutOf(pod), 'fast');
    await client!.callUntil(`${url}/open`, ({ status }) => status === 200);
    const denied = await client!.call(`${url}/shut`);
    assert.equal(denied.status, 403, denied.body);
  });

  it('lose no request that their apps send from the first moment on, or that is sent to them, however they are rolled', async () => {
    const { api } = mesh();
    const loads = followLoads(api, namespace, 'client');
    await restart(api, 'Deployment', namespace, 'server');
    await rolledOut(api, 'Deployment', namespace, 'server');
    await Promise.all(['server', 'client'].map((name) => restart(api, 'Deployment', namespace, name)));
    await Promise.all(['server', 'client'].map((name) => rolledOut(api, 'Deployment', namespace, name)));
    const all = [...(await loads.stop())];
    const text = all.map(([pod, tally]) => `${pod}: ${describeTally(tally)}`).join('\n');
    assert.ok(all.length >= 2, text);
    for (const [, { sent, failed }] of all) assert.ok(sent > 0 && failed === 0, text);
    client = await openPeer(api, namespace, 'client');
  });

  /** A pod as it is injected, with its sidecar changed afterwards. */
  async function createBroken(name: string, change: (sidecar: object) => object): Promise<void> {
    const { api } = mesh();
    const plain = peerPod({ namespace, name, account: 'broken' });
    const object = { ...plain, apiVersion: 'v1', kind: 'Pod', metadata: { ...plain.metadata, name } };
    const { metadata, spec } = await api.call('POST', `${pods}?dryRun=All`, object);
    const { labels = {}, annotations = {} } = metadata;
    const [sidecar, ...others] = spec?.containers ?? [];
    assert.equal(sidecar?.name, 'envoy');
    const containers = [change(sidecar), ...others];
    const broken = { ...object, metadata: { name, labels, annotations }, spec: { ...spec, containers } };
    await api.call('POST', pods, broken);
  }
  const stateOf = (pod: KubernetesObject, name: string) =>
    pod.status?.containerStatuses?.find((container) => container.name === name);

  const faults: readonly (readonly [string, (sidecar: object) => object])[] = [
    ['whose image is missing', (sidecar) => ({ ...sidecar, image: 'e2e.invalid/nothing:1' })],
    [
      'whose hook fails',
      (sidecar) => ({ ...sidecar, lifecycle: { postStart: { exec: { command: ['/bin/false'] } } } }),
    ],
    ['which ends at once', (sidecar) => ({ ...sidecar, command: ['/bin/false'] })],
  ];
  for (const [index, [what, change]] of faults.entries())
    it(`never start an app beside a sidecar ${what}`, async () => {
      const { api } = mesh();
      const name = `broken-${index}`;
      await createBroken(name, change);
      const app = await until(`the app of ${name} refused`, 60, async () => {
        const state = stateOf(await api.get(`${pods}/${name}`), 'peer');
        // The kubelet has tried.
        return (state?.restartCount ?? 0) > 0 ? state : undefined;
      });
      const text = JSON.stringify(app);
      assert.match(text, /tulle-start.*read-only file system/, text);
      assert.equal(app.state?.['running'], undefined, text);
    });

  it('are what `tulle check` proves', async () => {
    const { code, out } = await tulle('check');
    assert.equal(code, 0, out);
    assert.match(out, /✔ an app that starts fast waits for its sidecar: without one it is not started/);
  });

  it('are not given away by their token before their address is told: it counts from no other pod', async () => {
    const { api } = mesh();
    // On a node that is not there: nobody will tell its address.
    const plain = peerPod({ namespace, name: 'nowhere', account: 'broken', pod: { nodeName: 'nowhere' } });
    const object = { ...plain, apiVersion: 'v1', kind: 'Pod', metadata: { ...plain.metadata, name: 'nowhere' } };
    const { metadata } = await api.call('POST', pods, object);
    const request = await api.call('POST', `${pathOf('v1', 'ServiceAccount', namespace, 'broken')}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        ...{ audiences: ['tulle'], expirationSeconds: 600 },
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'nowhere', uid: metadata.uid },
      },
    });
    const { token } = request.status as unknown as { token: string };
    const answer = await client!.order<AdsAnswer>('/ads', {
      ...{ url: `https://tulle-controller.${controlNamespace}.svc:15128`, token, node: 'nowhere' },
    });
    assert.deepEqual([answer.grpcStatus, answer.bytes], [16, 0], JSON.stringify(answer));
    const [controller] = await podsOf(api, controlNamespace, 'app=tulle-controller');
    const { body } = await api.send('GET', `${pathOf('v1', 'Pod', controlNamespace, controller?.metadata.name)}/log`);
    assert.match(body, new RegExp(`nowhere, which has no address yet, came from that of pod ${namespace}/client`));
  });
});
