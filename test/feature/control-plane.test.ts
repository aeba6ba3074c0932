import assert from 'node:assert/strict';
import { createMeshBuilder } from '../../pkg/catalog/build-mesh.ts';
import { createMemoryStore } from '../../pkg/certs/file-store.ts';
import type { OutboundService } from '../../pkg/policy/outbound.ts';
import { secretType, tulleTypes } from '../../pkg/xds/resources.ts';
import { type FeatureMesh, type FeatureMeshOptions, startMesh } from './feature-mesh.ts';
import { shop, target } from './shop.ts';

const { outbound, endpoints, inbound, directory } = tulleTypes;
const cart = 'shop/cart:80';

describe('the control plane', () => {
  const meshes: FeatureMesh[] = [];
  const start = async (options?: FeatureMeshOptions): Promise<FeatureMesh> => {
    const mesh = await startMesh(options);
    meshes.push(mesh);
    return mesh;
  };
  afterEach(async () => {
    for (const mesh of meshes.splice(0)) await mesh.close();
  });

  it('sends a client what it may reach, and nothing else', async () => {
    const mesh = await start();
    await mesh.apply(shop());
    const web = await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    const intruder = await mesh.connect({
      account: 'other/intruder',
      pod: 'other/intruder-0',
    });

    assert.ok(web.held.get(outbound)?.has(cart));
    const { routes } = web.json<OutboundService>(outbound, cart);
    assert.deepEqual(
      routes.at(-1)?.backends.map(({ weight }) => weight),
      [90, 10],
    );
    assert.deepEqual([...(intruder.held.get(outbound)?.keys() ?? [])], []);
    assert.deepEqual([...(intruder.held.get(endpoints)?.keys() ?? [])], []);
    assert.ok(intruder.held.get(directory)?.has(cart), 'what exists is known to all, to deny it with a reason');
    assert.deepEqual([...(web.held.get(secretType)?.keys() ?? [])].sort(), ['identity', 'roots']);
  });

  it('sends a change to those whom it concerns, and of all that they have only that', async () => {
    const mesh = await start();
    await mesh.apply(shop());
    const web = await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    const intruder = await mesh.connect({
      account: 'other/intruder',
      pod: 'other/intruder-0',
    });
    const server = await mesh.connect({
      account: 'shop/cart-v1',
      pod: 'shop/cart-v1-0',
    });
    const forget = (): void => [web, intruder, server].forEach((client) => client.forget());

    forget();
    await mesh.apply(shop({ weights: [50, 50] }));
    assert.deepEqual([...web.received], [[outbound, [cart]]]);
    assert.deepEqual([[...intruder.received], [...server.received]], [[], []]);

    forget();
    await mesh.apply(shop({ weights: [50, 50], replicas: 2 }));
    assert.deepEqual([...web.received.keys()], [endpoints]);
    assert.deepEqual([[...intruder.received], [...server.received]], [[], []]);

    forget();
    await mesh.apply(
      shop({
        weights: [50, 50],
        replicas: 2,
        more: target('more', 'cart-v1', 'web2'),
      }),
    );
    assert.deepEqual([...server.received], [[inbound, ['inbound']]]);
    assert.deepEqual([[...intruder.received], [...web.received]], [[], []]);

    forget();
    await mesh.apply(
      shop({
        weights: [50, 50],
        replicas: 2,
        more: target('more', 'cart-v1', 'web2'),
      }),
    );
    assert.deepEqual([[...intruder.received], [...web.received], [...server.received]], [[], [], []]);
  });

  it('keeps the last good mesh when a build fails, and goes on with the next', async () => {
    const builder = createMeshBuilder();
    let broken = false;
    const mesh = await start({
      build: (snapshot) => {
        if (broken) throw new Error('a bug');
        return builder.build(snapshot);
      },
    });
    await mesh.apply(shop());
    const web = await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    web.forget();

    broken = true;
    await mesh.apply(shop({ weights: [1, 1] }));
    assert.deepEqual([...web.received], []);
    assert.match(mesh.metrics.render(), /tulle_build_failures_total 1/);
    assert.ok(mesh.logs.some(({ level, error }) => level === 'error' && String(error).includes('a bug')));
    const late = await mesh.connect({ account: 'shop/web', pod: 'shop/web-0' });
    assert.equal(late.json<OutboundService>(outbound, cart).routes.at(-1)?.backends[0]?.weight, 90);

    broken = false;
    await mesh.apply(shop({ weights: [1, 1] }));
    assert.equal(web.json<OutboundService>(outbound, cart).routes.at(-1)?.backends[0]?.weight, 1);
  });

  it('tells problems once, with their place, and shows them', async () => {
    const mesh = await start();
    const wrong = target('wrong', 'cart-v1', 'web').replace(
      'kind: HTTPRouteGroup, name: wrong',
      'kind: Nonsense, name: x',
    );
    await mesh.apply(shop({ more: wrong }));
    await mesh.apply(shop({ more: wrong, weights: [1, 2] }));

    const { problems } = mesh.controlPlane.view.state();
    const [problem] = problems.filter(({ reason }) => reason === 'KindUnsupported');
    assert.equal(problem?.position?.file, 'mesh.yaml');
    assert.equal(mesh.logs.filter(({ problem: text }) => String(text).includes('KindUnsupported')).length, 1);
    await mesh.apply(shop());
    assert.deepEqual(mesh.controlPlane.view.state().problems, []);
  });

  it('shows what a client refused, does not repeat it, and is over it when it changes', async () => {
    const mesh = await start();
    await mesh.apply(shop());
    let offers = 0;
    let bad = true;
    const web = await mesh.connect({
      account: 'shop/web',
      pod: 'shop/web-0',
      inspect: (typeUrl, { changed }) => {
        if (typeUrl !== outbound || changed.length === 0) return;
        offers += 1;
        if (bad) throw new Error('a service that nobody understands');
      },
    });
    const stateOf = () => mesh.controlPlane.view.state().proxies[0]?.types.find(({ typeUrl }) => typeUrl === outbound);

    await mesh.apply(shop({ weights: [90, 10], replicas: 2 }));
    assert.equal(offers, 1);
    assert.deepEqual(stateOf(), {
      typeUrl: outbound,
      synced: true,
      nack: 'a service that nobody understands',
    });
    assert.ok(
      mesh.logs.some(({ reason, resources }) => reason === stateOf()?.nack && String(resources).includes(cart)),
    );
    assert.match(mesh.metrics.render(), /tulle_xds_requests_total{type="[^"]*OutboundService",kind="nack"} 1/);
    assert.match(mesh.metrics.render(), /tulle_xds_proxies{state="refused"} 1/);

    bad = false;
    await mesh.apply(shop({ weights: [1, 1], replicas: 2 }));
    assert.deepEqual(stateOf(), { typeUrl: outbound, synced: true });
    assert.equal(offers, 2);
    assert.ok(web.held.get(outbound)?.has(cart));
  });

  it('sends nothing again after a restart that changed nothing', async () => {
    const store = createMemoryStore();
    const first = await start({ store });
    await first.apply(shop());
    const { key, address } = first;
    const web = await first.connect({ account: 'shop/web', pod: 'shop/web-0' });
    const before = new Map(web.held.get(outbound));
    await first.controlPlane.close();
    await web.until(() => web.states.at(-1)?.kind === 'disconnected');
    web.forget();
    assert.ok(web.held.get(outbound)?.has(cart), 'what was received stays while the control plane is away');

    const second = await start({ store, key, address });
    // It serves before it has read anything: nobody's configuration may be taken away for that.
    await web.until(() => second.controlPlane.servers()[0]?.clients().length === 1);
    assert.deepEqual([...web.received.values()].flat(), []);
    await second.apply(shop());

    assert.deepEqual([...web.received.values()].flat(), []);
    assert.deepEqual(web.held.get(outbound), before);
    await second.apply(shop({ weights: [3, 4] }));
    assert.deepEqual(
      [...web.received].filter(([, names]) => names.length > 0),
      [[outbound, [cart]]],
    );
    await web.close();
  });

  it('ends the stream of a pod that is gone', async () => {
    const mesh = await start();
    await mesh.apply(shop({ replicas: 2 }));
    const pod = await mesh.connect({
      account: 'shop/cart-v1',
      pod: 'shop/cart-v1-1',
    });

    await mesh.apply(shop({ replicas: 1 }));

    await pod.until(() => pod.states.some((state) => state.kind === 'disconnected' && /gone/.test(state.reason)));
  });

  it('serves a pod as soon as it is known', async () => {
    const mesh = await start();
    await mesh.apply(shop({ replicas: 1 }));
    const pod = await mesh.connect({ account: 'shop/cart-v1', pod: 'shop/cart-v1-1', early: true });
    await pod.until(() => pod.held.has(secretType));
    assert.equal(pod.held.has(inbound), false);

    await mesh.apply(shop({ replicas: 2 }));

    assert.ok(pod.held.get(inbound)?.has('inbound'));
  });
});
