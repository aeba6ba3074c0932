import assert from 'node:assert/strict';
import { type ControllerConfig, decodeControllerConfig } from './config.ts';
import { toServiceNames } from './kubernetes-config.ts';

const kubernetes = {
  namespace: 'tulle-system',
  meshName: 'osm',
  service: 'tulle-controller',
  xdsPort: 15128,
  otlpPort: 15129,
  webhookPort: 9090,
  healthPort: 9091,
  caSecret: 'tulle-ca',
  caManaged: true,
  webhookConfiguration: 'tulle-injector-osm',
  meshConfig: 'osm-mesh-config',
  lease: 'tulle-controller',
  injection: { sidecarImage: 'tulle/sidecar:1', concurrency: 2 },
};
const config = {
  id: 'osm',
  inputs: [],
  mesh: {
    mode: 'permissive',
    modeFrom: 'chart value mode',
    pathMatch: 'full',
    trustDomain: 'cluster.local',
    egress: 'allow',
    tracing: { sampling: 1 },
  },
  isolation: 'cluster',
  kubernetes,
  protosFile: '/app/protos.json',
};

const decode = (json: object): ControllerConfig => decodeControllerConfig(JSON.stringify(json));
const without = (key: keyof typeof kubernetes): object =>
  Object.fromEntries(Object.entries(kubernetes).filter(([name]) => name !== key));

describe('the configuration of a controller in a cluster', () => {
  it('is taken as it is', () => {
    assert.deepEqual(decode(config).kubernetes, kubernetes);
    assert.deepEqual(
      decode({ ...config, kubernetes: without('webhookConfiguration') }).kubernetes?.lease,
      'tulle-controller',
    );
  });

  it('names the field that is missing, wrong or misspelt', () => {
    for (const key of Object.keys(kubernetes) as (keyof typeof kubernetes)[]) {
      if (key === 'webhookConfiguration') continue;
      const field = new RegExp(`kubernetes\\.${key}\\b`);
      assert.throws(() => decode({ ...config, kubernetes: without(key) }), field, key);
      assert.throws(() => decode({ ...config, kubernetes: { ...kubernetes, [key]: {} } }), field, key);
    }
    const wrong: readonly [object, RegExp][] = [
      [{ ...kubernetes, xdsport: 1 }, /kubernetes\.xdsport/],
      [{ ...kubernetes, xdsPort: 70_000 }, /kubernetes\.xdsPort/],
      [{ ...kubernetes, namespace: 'a/b' }, /kubernetes\.namespace/],
      [{ ...kubernetes, lease: '../x' }, /kubernetes\.lease/],
      [{ ...kubernetes, kubeconfig: 'relative' }, /kubernetes\.kubeconfig/],
      [{ ...kubernetes, tokenFile: 'relative' }, /kubernetes\.tokenFile/],
    ];
    for (const [json, field] of wrong) assert.throws(() => decode({ ...config, kubernetes: json }), field);
    assert.throws(() => decode({ ...config, kubernetes: 7 }), /kubernetes is missing or wrong/);
    assert.throws(() => decode({ ...config, inputs: ['/x'] }), /inputs/);
    assert.throws(() => decode({ ...config, isolation: 'isolated' }), /isolation/);
  });

  it('names the setting of injection that is wrong: it would change every pod', () => {
    const injections: readonly [object, RegExp][] = [
      [{ logLevel: 'loud' }, /injection\.logLevel/],
      [{ resources: { request: {} } }, /injection\.resources/],
      [{ resources: { requests: { cpu: [] } } }, /injection\.resources/],
      [{ nativeSidecar: 'auto' }, /injection\.nativeSidecar\b/],
      [{ interception: { outboundPortExclusions: [0] } }, /interception\.outboundPortExclusions/],
      [{ interception: { ports: [] } }, /interception\.ports/],
      [{ sidecarImage: '' }, /injection\.sidecarImage/],
    ];
    for (const [part, field] of injections) {
      const injection = { ...kubernetes.injection, ...part };
      assert.throws(() => decode({ ...config, kubernetes: { ...kubernetes, injection } }), field);
    }
  });

  it('gives the names that sidecars and the API server ask for', () => {
    const { kubernetes: decoded = assert.fail() } = decode(config);
    const name = 'tulle-controller.tulle-system.svc';
    assert.deepEqual(toServiceNames(decoded), [name, `${name}.cluster.local`]);
  });
});
