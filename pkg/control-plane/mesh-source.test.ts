import assert from 'node:assert/strict';
import { snapshotOf, pod, service, target, routeGroup } from '../../test/support/snapshot.ts';
import { createMeshBuilder } from '../catalog/build-mesh.ts';
import type { MeshSnapshot } from '../catalog/snapshot.ts';
import { silentLogger } from '../observability/logger.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import { tulleTypes, type XdsClient } from '../xds/resources.ts';
import { createMeshSource, type MeshSource, type MeshSourceOptions } from './mesh-source.ts';

const identityOf = (name: string): ServiceIdentity => `spiffe://cluster.local/ns/n/sa/${name}` as ServiceIdentity;
const clientOf = (name: string, userAgent = 'tulle/1'): XdsClient => ({
  identity: identityOf(name),
  pod: `n/${name}`,
  nodeId: name,
  userAgent,
});

describe('the source of resources', () => {
  const names = ['a', 'b', 'c', 'd'];
  const grant = (from: readonly string[]): MeshSnapshot['smi'] => [
    routeGroup('n', 'all', [{ name: 'x', pathRegex: '/.*' }]),
    target('n', 'a', { to: 'a', from, rules: [{ kind: 'HTTPRouteGroup', name: 'all' }] }),
  ];
  const mesh = snapshotOf({
    pods: names.map((name) => pod('n', name)),
    services: names.map((name) => service('n', name)),
    smi: grant(['b']),
  });

  let source: MeshSource;
  let told: (readonly string[] | 'all')[];
  let breaks: boolean;
  const builder = createMeshBuilder();
  const publish = (snapshot: MeshSnapshot, moved?: readonly string[]): void => {
    told = [];
    source.publish(builder.build(snapshot).value, moved);
  };

  beforeEach(() => {
    breaks = false;
    const envoy = {
      view: () => undefined,
      peers: () => new Map(),
      stateOf: (_: XdsClient, policy: object) => policy,
      retain: () => undefined,
    } satisfies MeshSourceOptions['envoy'];
    const secrets: MeshSourceOptions['secrets'] = {
      view() {
        if (breaks) throw new Error('no certificate');
        return { resources: new Map() };
      },
    };
    source = createMeshSource({ secrets, envoy, log: silentLogger });
    source.subscribe((pods) => told.push(pods ? [...pods].sort() : 'all'));
    publish(mesh);
  });

  it('says whom a change concerns: first all, then those whose policy is another', () => {
    assert.deepEqual(told, ['all']);
    publish({ ...mesh, smi: grant(['b', 'c']) });
    assert.deepEqual(told, [['n/a', 'n/c']]);
    publish({ ...mesh, smi: grant(['b', 'c']) });
    assert.deepEqual(told, [[]]);
    publish({ ...mesh, smi: grant(['b', 'c']) }, ['n/d']);
    assert.deepEqual(told, [['n/d']]);
    publish({ ...mesh, pods: [...mesh.pods, pod('n', 'e')], smi: grant(['b', 'c']) });
    assert.deepEqual(told, [['n/e']]);
  });

  it('says after a certificate that it may concern all, and gives each another state', () => {
    const client = clientOf('b');
    const before = source.stateOf?.(client);
    assert.equal(source.stateOf?.(client), before);
    told = [];
    source.refresh();
    assert.deepEqual(told, ['all']);
    assert.notEqual(source.stateOf?.(client), before);
  });

  it('has one state for a client as long as its policy stays, whatever the client is', () => {
    for (const client of [clientOf('b'), clientOf('d', 'envoy')]) {
      const before = source.stateOf?.(client);
      assert.notEqual(before, undefined);
      publish({ ...mesh, smi: grant(['b', 'c']) });
      assert.equal(source.stateOf?.(client) === before, client.pod === 'n/b' || client.pod === 'n/d');
      publish({ ...mesh, smi: grant(['d']) });
      assert.notEqual(source.stateOf?.(client), before);
      publish(mesh);
    }
  });

  it('offers to all again what could not be made', () => {
    const { identity } = clientOf('b');
    breaks = true;
    source.view(clientOf('b'), 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret');
    publish(mesh);
    assert.deepEqual(told, ['all']);
    publish(mesh);
    assert.deepEqual(told, [[]]);
    assert.equal(source.policyOf({ ...clientOf('b'), identity })?.identity, identity);
    assert.notEqual(source.view(clientOf('b'), tulleTypes.inbound), undefined);
  });
});
