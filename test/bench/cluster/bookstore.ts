import type { KubernetesApi, KubernetesObject } from '../../support/kubernetes-api.ts';
import { applyObjects, pathOf, rolledOut } from '../../support/kubernetes-objects.ts';
import { bookstoreObjects } from '../../e2e-kubernetes/bookstore.ts';
import { openPeer, peerObjects, type Peer } from '../../e2e-kubernetes/peers.ts';

/** A request that the buyer may make and that the store answers by itself. */
export const look = {
  url: 'http://bookstore.bookstore:14001/books-bought',
  headers: { 'client-app': 'bookbuyer', 'user-agent': 'bench-http-client/1' },
} as const;

export interface Bookstore {
  /** Under the account of the buyer: what it sends is allowed. */
  readonly buyer: Peer;
  /** Under the account of the thief. */
  readonly thief: Peer;
  readonly setWeights: (v1: number, v2: number) => Promise<void>;
  readonly targets: readonly KubernetesObject[];
}

/** The demo's bookstore in its four namespaces, enforced, with one client more that measures. */
export async function openBookstore(api: KubernetesApi): Promise<Bookstore> {
  const objects = bookstoreObjects().map((object) =>
    object.kind === 'Namespace'
      ? { ...object, metadata: { ...object.metadata, annotations: { 'tulle.dev/mode': 'enforce' } } }
      : object,
  );
  await applyObjects(api, [
    ...objects,
    ...peerObjects({ namespace: 'bookbuyer', name: 'load', account: 'bookbuyer' }),
    ...peerObjects({ namespace: 'bookthief', name: 'load', account: 'bookthief' }),
  ]);
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  await Promise.all(
    deployments.map(({ metadata }) => rolledOut(api, 'Deployment', metadata.namespace ?? '', metadata.name, 180)),
  );
  await rolledOut(api, 'StatefulSet', 'bookwarehouse', 'bookdb', 180);
  const [buyer, thief] = await Promise.all([openPeer(api, 'bookbuyer', 'load'), openPeer(api, 'bookthief', 'load')]);
  await buyer.callUntil(look, ({ status }) => status === 200, 60);
  const split = pathOf('split.smi-spec.io/v1alpha2', 'TrafficSplit', 'bookstore', 'bookstore-split');
  return {
    buyer,
    thief,
    setWeights: async (v1, v2) => {
      const backends = [
        { service: 'bookstore-v1', weight: v1 },
        { service: 'bookstore-v2', weight: v2 },
      ];
      await api.call('PATCH', split, { spec: { backends } }, 'application/merge-patch+json');
    },
    targets: objects.filter(({ kind, metadata }) => kind === 'TrafficTarget' && metadata.namespace === 'bookstore'),
  };
}
