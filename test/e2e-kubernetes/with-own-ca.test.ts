import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createRoot } from '../../pkg/certs/certificate.ts';
import { applyObjects, deletePath, isReady, pathOf, podsOf, until } from '../support/kubernetes-objects.ts';
import { chart, controlNamespace, helm, installArguments, installedReleases, release } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { namespaceObject, openPeer, peerObjects, serviceObject, targetObjects, type Peer } from './peers.ts';
import { portForward, type Forward } from './port-forward.ts';

const namespace = 'e2e-own-ca';
const secret = 'corporate-ca';
const leases = pathOf('coordination.k8s.io/v1', 'Lease', controlNamespace);

interface Trace {
  readonly data: readonly {
    readonly spans: readonly { readonly operationName: string; readonly processID: string }[];
  }[];
}

// After `upgrade-uninstall.test.ts`, which takes the first mesh away: an install of its own.
describeMesh('two replicas with a CA of one’s own', [namespace], (mesh) => {
  let client: Peer | undefined;
  const root = createRoot('corporate', { from: Date.now(), lifetime: 86_400_000 });
  const url = `http://server.${namespace}:8080/`;

  const leaseHolder = async (): Promise<string | undefined> => {
    const lease = await mesh().api.find(`${leases}/tulle-controller`);
    const holder = lease?.spec?.['holderIdentity'];
    return typeof holder === 'string' && holder !== '' ? holder : undefined;
  };
  const controllers = async (): Promise<string[]> =>
    (await podsOf(mesh().api, controlNamespace, 'app=tulle-controller'))
      .filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined)
      .map(({ metadata }) => metadata.name);

  before(() =>
    preparing(mesh(), 'own-ca', [namespace], async () => {
      const { api } = mesh();
      if ((await installedReleases()).length > 0) await helm('uninstall', release, '-n', controlNamespace, '--wait');
      await until('no Lease of the mesh before', 30, async () =>
        (await api.find(`${leases}/tulle-controller`)) === undefined ? true : undefined,
      );
      await deletePath(api, pathOf('v1', 'Secret', controlNamespace, 'tulle-ca'));
      const base64 = (text: string): string => Buffer.from(text).toString('base64');
      await applyObjects(api, [
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: controlNamespace } },
        {
          ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls' },
          metadata: { name: secret, namespace: controlNamespace },
          data: { 'tls.crt': base64(root.certificate), 'tls.key': base64(root.privateKey) },
        },
      ]);
      const settings = ['--set', `ca.existingSecret=${secret}`, '--set', 'replicas=2'];
      await helm('install', release, chart, ...installArguments, ...settings);
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        ...peerObjects({ namespace, name: 'server', replicas: 2, listen: ['http:8080'] }),
        serviceObject(namespace, 'server', [{ port: 8080, name: 'http' }]),
        ...peerObjects({ namespace, name: 'client' }),
        ...targetObjects(namespace, 'client', 'server', ['client']),
      ]);
      [client] = await Promise.all([openPeer(api, namespace, 'client'), openPeer(api, namespace, 'server')]);
      await client.callUntil(url, ({ status }) => status === 200);
    }),
  );

  it('signs by that CA, keeps no other, and says whose it is', async () => {
    const { api } = mesh();
    const trust = await api.get(pathOf('v1', 'ConfigMap', namespace, 'tulle-trust'));
    const trusted = new X509Certificate(trust.data?.['roots.pem'] ?? '');
    assert.equal(trusted.fingerprint256, new X509Certificate(root.certificate).fingerprint256);
    const made = await api.find(pathOf('v1', 'Secret', controlNamespace, 'tulle-ca'));
    assert.ok(made === undefined, 'no CA of ours beside it');
    const notes = await helm('get', 'notes', release, '-n', controlNamespace);
    assert.match(notes, new RegExp(secret));
  });

  it('has the spans of both replicas in one trace, whichever is asked', async () => {
    await until('two replicas', 30, async () => ((await controllers()).length === 2 ? true : undefined));
    const names = await controllers();
    const forwards: Forward[] = [];
    try {
      for (const name of names) forwards.push(await portForward(controlNamespace, `pod/${name}`, 9092));
      const traceOf = async ({ port }: Forward, id: string): Promise<number> => {
        const answer = await fetch(`http://127.0.0.1:${port}/api/traces/${id}`);
        if (answer.status !== 200) return 0;
        const { data } = (await answer.json()) as Trace;
        return data.flatMap(({ spans }) => spans).length;
      };
      // Sidecars choose a replica each: of several calls some have their two ends at different ones.
      let number = 0;
      await until('whole traces on both', 60, async () => {
        const ids = Array.from({ length: 4 }, () => (number += 1).toString(16).padStart(32, 'c'));
        for (const id of ids) await client!.call({ url, headers: { traceparent: `00-${id}-00f067aa0ba902b7-01` } });
        await new Promise((resolve) => setTimeout(resolve, 2_000));
        const counts = await Promise.all(ids.map((id) => Promise.all(forwards.map((each) => traceOf(each, id)))));
        return counts.every(([one = 0, other = 0]) => one >= 2 && one === other) ? true : undefined;
      });
    } finally {
      await Promise.all(forwards.map((each) => each.stop()));
    }
  });

  it('goes on when the replica that writes is killed: no request is lost, and the other writes soon', async () => {
    const { api } = mesh();
    const holder = (await until('a leader', 30, leaseHolder)).replace(/_[0-9a-f]+$/, '');
    assert.ok((await controllers()).includes(holder), `${holder} leads`);
    await client!.startLoad({ url, perSecond: 50 });
    const path = `/api/v1/namespaces/${controlNamespace}/pods/${holder}?gracePeriodSeconds=0`;
    await api.call('DELETE', path);
    const start = Date.now();
    await until('another leader', 60, async () => {
      const now = await leaseHolder();
      return now !== undefined && !now.startsWith(`${holder}_`) ? now : undefined;
    });
    const seconds = (Date.now() - start) / 1000;
    assert.ok(seconds < 40, `after ${seconds} s`);
    // Only a leader does this.
    const roots = pathOf('v1', 'ConfigMap', namespace, 'tulle-trust');
    await api.call('DELETE', roots);
    await until('the roots again', 30, () => api.find(roots));
    const { sent, failed, failures } = await client!.stopLoad();
    assert.ok(sent > 0);
    assert.equal(failed, 0, failures.join('\n'));
  });

  it('leaves no Lease behind when it is uninstalled, and the Secret that was given', async () => {
    const { api } = mesh();
    await helm('uninstall', release, '-n', controlNamespace, '--wait', '--timeout', '60s');
    await until('no Lease', 30, async () =>
      (await api.list(leases)).some(({ metadata }) => metadata.name.startsWith('tulle')) ? undefined : true,
    );
    assert.ok(await api.find(pathOf('v1', 'Secret', controlNamespace, secret)));
  });
});
