import type { KubernetesApi } from '../../support/kubernetes-api.ts';
import { applyObjects, removeNamespaces } from '../../support/kubernetes-objects.ts';
import { namespaceObject, openPeer, peerObjects, serviceObject, targetObjects } from '../../e2e-kubernetes/peers.ts';
import { type Section, toText } from '../report.ts';

/** Client → server in pods, with two sidecars in between and with none, in turns. */
export async function measureLatency(api: KubernetesApi, seconds: number): Promise<Section> {
  const [meshed, bare] = ['e2e-latency', 'e2e-latency-bare'];
  const objects = (namespace: string) => [
    ...peerObjects({ namespace, name: 'server', listen: ['http:8080'] }),
    serviceObject(namespace, 'server', [{ port: 8080, name: 'http' }]),
    ...peerObjects({ namespace, name: 'client' }),
  ];
  await applyObjects(api, [
    namespaceObject(meshed, { mode: 'enforce' }),
    namespaceObject(bare, { mesh: '' }),
    ...objects(meshed),
    ...objects(bare),
    ...targetObjects(meshed, 'client', 'server', ['client']),
  ]);
  const rows: string[][] = [];
  for (const [title, order] of [
    ['200 requests a second', { perSecond: 200 }],
    ['32 at a time', { perSecond: 0, concurrency: 32 }],
  ] as const)
    for (const [where, namespace] of [
      ['no sidecar', bare],
      ['two sidecars', meshed],
    ] as const) {
      const url = `http://server.${namespace}:8080/x`;
      const client = await openPeer(api, namespace, 'client');
      await openPeer(api, namespace, 'server');
      await client.callUntil(url, ({ status }) => status === 200, 30);
      await client.startLoad({ url, ...order });
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const { ok, failed, p50, p99 } = await client.stopLoad();
      rows.push([title, where, toText(ok / seconds), String(failed), toText(p50), toText(p99)]);
    }
  await removeNamespaces(api, [meshed, bare], 120);
  return {
    title: 'On Kubernetes: what two sidecars add',
    text: 'A Node client and a Node server in two pods of one node, HTTP/1.1, keep-alive, everything traced; client, server and sidecars share the machine’s processors.',
    heads: ['load', 'between them', 'requests a second', 'failed', 'p50 ms', 'p99 ms'],
    rows,
    goals: [],
  };
}
