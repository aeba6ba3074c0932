import assert from 'node:assert/strict';
import { join } from 'node:path';
import { deletePath, pathOf, podsOf, removeNamespaces, rolledOut, until } from '../support/kubernetes-objects.ts';
import { bookstoreNamespaces } from './bookstore.ts';
import { controlNamespace, kubectl } from './cluster.ts';
import { describeMesh, preparing } from './mesh.ts';
import { peerPodName } from './peers.ts';

const folder = join(import.meta.dirname, 'osm-bookstore');
const meshConfig = pathOf('config.openservicemesh.io/v1alpha2', 'MeshConfig', controlNamespace, 'osm-mesh-config');

describeMesh('OSM’s own bookstore, its manifests as they are', bookstoreNamespaces, (mesh) => {
  const apply = (...files: string[]): Promise<string> =>
    kubectl(['apply', ...files.flatMap((file) => ['-f', join(folder, file)])]);

  /** What an app's page says, by a port-forward of its own port, as OSM's scripts do it. */
  async function raw(namespace: string, app: string, version = 'v1'): Promise<Record<string, number>> {
    const { api } = mesh();
    const [pod] = await podsOf(api, namespace, `app=${app},version=${version}`);
    const node = 'fetch("http://127.0.0.1:14001/raw").then(async a=>console.log(await a.text()))';
    const out = await kubectl(['exec', '-n', namespace, pod?.metadata.name ?? '', '-c', app, '--', 'node', '-e', node]);
    return JSON.parse(out) as Record<string, number>;
  }

  /** Which counters move within some seconds. */
  async function moving(): Promise<string> {
    const look = async (): Promise<Record<string, number>> => {
      const [buyer, thief] = await Promise.all([raw('bookbuyer', 'bookbuyer'), raw('bookthief', 'bookthief')]);
      return {
        v1: buyer['booksBoughtV1'] ?? 0,
        v2: buyer['booksBoughtV2'] ?? 0,
        stolen: Object.entries(thief).find(([name]) => name.startsWith('booksStolen'))?.[1] ?? 0,
      };
    };
    const before = await look();
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    const after = await look();
    return Object.keys(before)
      .filter((name) => (after[name] ?? 0) > (before[name] ?? 0))
      .join(' ');
  }

  const movesOnly = (wanted: string): Promise<unknown> =>
    until(`only these counters to move: ${wanted}`, 20, async () => {
      const got = await moving();
      if (got !== wanted) throw new Error(`moving: ${got}`);
      return true;
    });

  const setPermissive = (value: boolean | null): Promise<string> =>
    kubectl([
      ...['patch', 'meshconfig', 'osm-mesh-config', '-n', controlNamespace, '--type=merge', '-p'],
      JSON.stringify({ spec: { traffic: { enablePermissiveTrafficPolicyMode: value } } }),
    ]);

  before(() =>
    preparing(mesh(), 'osm-bookstore', bookstoreNamespaces, async () => {
      const { api } = mesh();
      await removeNamespaces(api, bookstoreNamespaces);
      // The guide: create the namespaces, add them to the mesh, apply the apps.
      for (const name of bookstoreNamespaces) await kubectl(['create', 'namespace', name]);
      const names = bookstoreNamespaces.map(String);
      await kubectl(['label', 'namespace', ...names, 'tulle-e2e=yes', 'openservicemesh.io/monitored-by=osm']);
      await kubectl(['annotate', 'namespace', ...names, 'openservicemesh.io/sidecar-injection=enabled']);
      await apply(
        'volume.yaml',
        'bookbuyer.yaml',
        'bookthief.yaml',
        'bookstore.yaml',
        'bookwarehouse.yaml',
        'mysql.yaml',
      );
      await Promise.all([
        rolledOut(api, 'Deployment', 'bookbuyer', 'bookbuyer', 120),
        rolledOut(api, 'Deployment', 'bookthief', 'bookthief', 120),
        rolledOut(api, 'Deployment', 'bookstore', 'bookstore', 120),
        rolledOut(api, 'Deployment', 'bookwarehouse', 'bookwarehouse', 120),
        rolledOut(api, 'StatefulSet', 'bookwarehouse', 'mysql', 120),
      ]);
    }),
  );

  after(async () => {
    await setPermissive(null);
    await deletePath(mesh().api, pathOf('v1', 'PersistentVolume', undefined, 'tulle-e2e-mysql'));
  });

  it('permissive: buyer and thief get books', () => movesOnly('v1 stolen'));

  it('permissive off: nobody gets any', async () => {
    await setPermissive(false);
    await movesOnly('');
  });

  it('access: the buyer gets books, the thief none', async () => {
    await apply('traffic-access-v1.yaml');
    await movesOnly('v1');
  });

  it('the warehouse stores what is sold in the database behind a headless service', async () => {
    const { api } = mesh();
    const pod = await peerPodName(api, 'bookwarehouse', 'bookwarehouse');
    await until('a stored book', 20, async () => {
      const node = 'fetch("http://127.0.0.1:14001/raw").then(async a=>console.log(await a.text()))';
      const out = await kubectl(['exec', '-n', 'bookwarehouse', pod, '-c', 'bookwarehouse', '--', 'node', '-e', node]);
      return (JSON.parse(out) as { booksRestocked: number }).booksRestocked > 0 || undefined;
    });
  });

  it('the thief gets books while its account is listed', async () => {
    await apply('traffic-access-v1-allow-bookthief.yaml');
    await movesOnly('v1 stolen');
    await apply('traffic-access-v1.yaml');
    await movesOnly('v1');
  });

  it('v2, its split at 100/0, 50/50 and 0/100 of `bookstore.bookstore`', async () => {
    await apply('bookstore-v2.yaml');
    await rolledOut(mesh().api, 'Deployment', 'bookstore', 'bookstore-v2', 120);
    await apply('traffic-split-v1.yaml');
    await movesOnly('v1');
    await apply('traffic-split-50-50.yaml');
    await movesOnly('v1 v2');
    await apply('traffic-split-v2.yaml');
    await movesOnly('v2');
  });

  it('reads the MeshConfig in both of its versions', async () => {
    const { api } = mesh();
    const old = await api.get(meshConfig.replace('v1alpha2', 'v1alpha1'));
    assert.equal(old.spec?.traffic?.enablePermissiveTrafficPolicyMode, false);
  });
});
