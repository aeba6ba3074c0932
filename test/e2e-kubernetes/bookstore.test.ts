import assert from 'node:assert/strict';
import { applyObjects, pathOf, podsOf, removeNamespaces, rolledOut, until } from '../support/kubernetes-objects.ts';
import { bookstoreNamespaces, bookstoreObjects, setWeights } from './bookstore.ts';
import { chart, controlNamespace, helm, release, upgradeArguments } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { accountObject, describeTally, openPeer, peerObjects, peerPodName, type Peer } from './peers.ts';
import { portForward } from './port-forward.ts';

interface JaegerSpan {
  readonly spanID: string;
  readonly processID: string;
  readonly references: readonly { spanID: string }[];
  readonly startTime: number;
}
interface JaegerTrace {
  readonly traceID: string;
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, { serviceName: string }>>;
}

const split = { apiVersion: 'split.smi-spec.io/v1alpha2', name: 'bookstore-split' };
const url = 'http://bookstore.bookstore:14001/buy-a-book/new';

describeMesh('the bookstore in four namespaces', bookstoreNamespaces, (mesh) => {
  let [buyer, thief]: Peer[] = [];

  before(() =>
    preparing(mesh(), 'bookstore', bookstoreNamespaces, async () => {
      const { api } = mesh();
      await removeNamespaces(api, bookstoreNamespaces);
      await helm('upgrade', release, chart, ...upgradeArguments, '--set', 'tracing.jaeger.enabled=true');
      await applyObjects(api, [
        ...bookstoreObjects(),
        // A buyer that sends as many as it is told to, and a thief that says what it was told.
        ...peerObjects({ namespace: 'bookbuyer', name: 'load', account: 'bookbuyer' }),
        ...peerObjects({ namespace: 'bookthief', name: 'load', account: 'bookthief' }),
        accountObject('bookbuyer', 'bookbuyer'),
      ]);
      await Promise.all(
        [
          ['bookbuyer', 'bookbuyer'],
          ['bookthief', 'bookthief'],
          ['bookstore', 'bookstore-v1'],
          ['bookstore', 'bookstore-v2'],
          ['bookwarehouse', 'bookwarehouse'],
        ].map(([namespace = '', name = '']) => rolledOut(api, 'Deployment', namespace, name, 180)),
      );
      await rolledOut(api, 'StatefulSet', 'bookwarehouse', 'bookdb');
      [buyer, thief] = await Promise.all([openPeer(api, 'bookbuyer', 'load'), openPeer(api, 'bookthief', 'load')]);
    }),
  );

  it('lets everybody buy while it is permissive', async () => {
    await buyer!.callUntil(url, ({ status }) => status === 200);
    await thief!.callUntil(url, ({ status }) => status === 200);
  });

  it('denies the thief, and not the buyer, once its namespaces are enforced', async () => {
    const { api } = mesh();
    await buyer!.startLoad({ url, perSecond: 50 });
    const annotations = { 'tulle.dev/mode': 'enforce' };
    await Promise.all(
      bookstoreNamespaces.map((name) =>
        api.call(
          'PATCH',
          pathOf('v1', 'Namespace', undefined, name),
          { metadata: { annotations } },
          'application/merge-patch+json',
        ),
      ),
    );
    const denied = await thief!.callUntil(url, ({ status }) => status !== 200, 20);
    assert.equal(denied.status, 403);
    assert.match(denied.body, /RBAC: access denied/);
    const tally = await buyer!.stopLoad();
    assert.equal(tally.failed, 0, describeTally(tally));
  });

  it('moves 90/10 to 50/50 to 0/100 under load, and loses none', async () => {
    const { api } = mesh();
    await buyer!.startLoad({ url, perSecond: 100 });
    const share = async (weights: readonly [number, number], wanted: number): Promise<void> => {
      await setWeights(api, split, { 'bookstore-v1': weights[0], 'bookstore-v2': weights[1] });
      const since = Date.now() + 300;
      const tally = await until(
        '600 requests',
        30,
        async () => {
          const now = await buyer!.tally('load', since);
          return now.series.length >= 600 ? now : undefined;
        },
        500,
      );
      const v2 = tally.series.filter(([, , by]) => by.includes('bookstore-v2')).length;
      const got = v2 / tally.series.length;
      // Four standard deviations of 600 draws.
      const slack = 4 * Math.sqrt((wanted * (1 - wanted)) / 600);
      assert.ok(Math.abs(got - wanted) <= slack, `share of v2 ${got}, wanted ${wanted} ± ${slack}`);
    };
    await share([90, 10], 0.1);
    await share([50, 50], 0.5);
    await share([0, 100], 1);
    const tally = await buyer!.stopLoad();
    assert.equal(tally.failed, 0, describeTally(tally));
  });

  it('restocks through the warehouse and its database', async () => {
    const { api } = mesh();
    const warehouse = await peerPodName(api, 'bookwarehouse', 'bookwarehouse');
    const forward = await portForward('bookwarehouse', `pod/${warehouse}`, 14001);
    try {
      const stored = async (): Promise<number> => {
        const counters = await fetch(`http://127.0.0.1:${forward.port}/raw`);
        return ((await counters.json()) as { booksRestocked: number }).booksRestocked;
      };
      // The first of them may have come before the database did.
      const before = await stored();
      await until('more books in the warehouse', 20, async () => (await stored()) > before || undefined);
    } finally {
      await forward.stop();
    }
    const [pod] = await podsOf(api, 'bookstore', 'version=v2');
    const log = await api.send(
      'GET',
      `/api/v1/namespaces/bookstore/pods/${pod?.metadata.name}/log?container=bookstore`,
    );
    const last = log.body.trim().split('\n').slice(-50);
    assert.deepEqual(
      last.filter((line) => line.includes('not restocked: 403')),
      [],
    );
  });

  it('shows whole traces in Jaeger, one per purchase, of the sidecars and the apps', async () => {
    const { api } = mesh();
    const jaeger = await peerPodName(api, controlNamespace, 'jaeger');
    const query = async (path: string): Promise<unknown> => {
      const where = `/api/v1/namespaces/${controlNamespace}/pods/${jaeger}:16686/proxy${path}`;
      const { status, body } = await api.send('GET', where);
      assert.equal(status, 200, body.slice(0, 300));
      return (JSON.parse(body) as { data: unknown }).data;
    };
    const traces = await until(
      'purchases in Jaeger',
      30,
      async () => {
        const services = ((await query('/api/services')) as string[] | null) ?? [];
        const name = services.find((service) => service.startsWith('bookwarehouse'));
        if (name === undefined) return undefined;
        const end = (Date.now() - 8_000) * 1000;
        const found = (await query(
          `/api/traces?service=${name}&limit=50&end=${end}&start=${end - 60_000_000}`,
        )) as JaegerTrace[];
        return found.length >= 5 ? found : undefined;
      },
      1000,
    );
    for (const { traceID, spans, processes } of traces) {
      const names = new Set(spans.map(({ processID }) => processes[processID]?.serviceName.split('.')[0]));
      const told = `${traceID}: ${[...names].join(', ')}, ${spans.length} spans`;
      for (const wanted of ['bookstore', 'bookwarehouse'])
        assert.ok(
          [...names].some((name) => name?.startsWith(wanted)),
          `${wanted} is not in ${told}`,
        );
      const ids = new Set(spans.map(({ spanID }) => spanID));
      const roots = spans.filter(
        ({ references }) => references.length === 0 || !references.some((one) => ids.has(one.spanID)),
      );
      assert.equal(roots.length, 1, `${roots.length} roots in ${told}`);
      // buyer's sidecar, the store's two, the warehouse's inbound at least.
      assert.ok(spans.length >= 4, told);
    }
  });
});
