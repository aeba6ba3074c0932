import assert from 'node:assert/strict';
import { applyObjects, podsOf, until } from '../support/kubernetes-objects.ts';
import type { AdsAnswer } from './apps/ads.ts';
import { controlNamespace } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { namespaceObject, openPeer, peerObjects, type Peer } from './peers.ts';

const namespace = 'e2e-tokens';
const unauthenticated = 16;

describeMesh('tokens of pods', [namespace], (mesh) => {
  let thief: Peer | undefined;

  before(() =>
    preparing(mesh(), 'tokens', [namespace], async () => {
      const { api } = mesh();
      const past = { 'tulle.dev/outbound-port-exclusion-list': '15128' };
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        ...peerObjects({ namespace, name: 'thief', annotations: past }),
        ...peerObjects({ namespace, name: 'victim' }),
        ...peerObjects({ namespace, name: 'leaving' }),
      ]);
      [thief] = await Promise.all([
        openPeer(api, namespace, 'thief'),
        openPeer(api, namespace, 'victim'),
        openPeer(api, namespace, 'leaving'),
      ]);
    }),
  );

  async function tokenOf(account: string, pod?: { name: string; uid?: string }, audience = 'tulle'): Promise<string> {
    const bound = pod ? { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod } } : {};
    const answer = await mesh().api.call('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds: 600, ...bound },
    });
    return (answer.status as { token: string } | undefined)?.token ?? '';
  }

  async function podOf(app: string): Promise<{ name: string; uid: string }> {
    const [pod] = await podsOf(mesh().api, namespace, `app=${app}`);
    return { name: pod?.metadata.name ?? '', uid: pod?.metadata.uid ?? '' };
  }

  const ask = (token: string | undefined, node = 'thief'): Promise<AdsAnswer> =>
    thief!.order('/ads', { url: `https://tulle-controller.${controlNamespace}.svc:15128`, token, node });

  async function assertRefused(token: string | undefined, node?: string): Promise<void> {
    const answer = await ask(token, node);
    assert.deepEqual([answer.grpcStatus, answer.bytes], [unauthenticated, 0], JSON.stringify(answer));
  }

  it('its own token gets a pod its configuration', async () => {
    const answer = await ask(await tokenOf('thief', await podOf('thief')));
    assert.equal(answer.grpcStatus, undefined, JSON.stringify(answer));
    assert.ok(answer.bytes > 0, JSON.stringify(answer));
  });

  it('no token, or none at all of ours, gets nothing', async () => {
    await assertRefused(undefined);
    await assertRefused('abc.def.ghi');
  });

  it('a token for another audience gets nothing', async () => {
    const pod = await podOf('thief');
    await assertRefused(await tokenOf('thief', pod, 'https://kubernetes.default.svc.cluster.local'));
  });

  it('a token that is bound to no pod gets nothing', async () => {
    await assertRefused(await tokenOf('thief'));
  });

  it('the token of another pod gets nothing, whoever the node says it is', async () => {
    await assertRefused(await tokenOf('victim', await podOf('victim')), 'victim');
  });

  it('the token of a pod that is gone gets nothing', async () => {
    const { api } = mesh();
    const pod = await podOf('leaving');
    const token = await tokenOf('leaving', pod);
    await api.call('DELETE', `/apis/apps/v1/namespaces/${namespace}/deployments/leaving`);
    await until(
      'the pod gone',
      60,
      async () => (await api.find(`/api/v1/namespaces/${namespace}/pods/${pod.name}`)) === undefined,
    );
    await assertRefused(token);
  });

  it('the log of the controller says why, and no token', async () => {
    const { api } = mesh();
    const pods = await podsOf(api, controlNamespace, 'app=tulle-controller');
    const logs = await Promise.all(
      pods.map(({ metadata }) => api.send('GET', `/api/v1/namespaces/${controlNamespace}/pods/${metadata.name}/log`)),
    );
    const text = logs.map(({ body }) => body).join('\n');
    for (const reason of ['no bearer token', 'malformed', 'claim aud', 'bound to no pod', 'came from', 'is gone'])
      assert.ok(text.includes(reason), reason);
    assert.doesNotMatch(text, /eyJ[\w-]{10,}\.[\w-]{10,}/, 'a token in a log');
  });
});
