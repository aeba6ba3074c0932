import assert from 'node:assert/strict';
import { join } from 'node:path';
import { transparent } from '../../pkg/envoy-config/interception.ts';
import type { InterceptionMode } from '../../pkg/envoy-config/interception.ts';
import { toXdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import type { ProxyPolicy } from '../../pkg/policy/proxy-policy.ts';
import { describeEnvoy } from '../support/describe-envoy.ts';
import { encodeEnvoy } from '../support/envoy-encoder.ts';
import { matchGolden } from '../support/golden.ts';
import { loadScenario, scenarioFile, scenarioNames } from '../support/scenario.ts';

const modes: readonly InterceptionMode[] = [
  transparent,
  { inbound: { kind: 'sockets', template: '/run/in-{port}.sock' }, outbound: { kind: 'redirect', port: 15001 } },
  {
    inbound: { kind: 'sockets', template: '/run/in-{port}.sock', appPorts: new Map([[8080, 9090]]) },
    outbound: { kind: 'proxy', port: 15009, authorization: 'Basic c2VjcmV0', tcpPorts: new Map() },
  },
];

describe('scenarios for Envoy', () => {
  it("becomes, for one workload of OSM's bookstore, the configuration that stands in full", async () => {
    const { model } = await loadScenario('osm-bookstore');
    const policy = [...model.pods].find(([pod]) => pod.startsWith('bookstore/bookstore-v2'))?.[1];
    assert.ok(policy);
    const { listeners, routes, scopes, refusals, extensions, clusters, endpoints } = toXdsResources(
      policy,
      transparent,
    );
    matchGolden(join(import.meta.dirname, '..', '..', 'pkg', 'envoy-config', 'bookstore.golden.yaml'), {
      listeners: [...listeners.values()],
      routes: [...routes.values()],
      scopes: [...scopes.values()],
      refusals: [...refusals.values()],
      extensions: [...extensions.values()],
      clusters: [...clusters.values()],
      endpoints: [...endpoints.values()],
    });
  });

  for (const name of scenarioNames()) {
    it(`${name}: becomes the configuration that its file says`, async () => {
      const { model } = await loadScenario(name);
      // Pods that differ in nothing have the same policy object.
      const pods = new Map<ProxyPolicy, string[]>();
      for (const [pod, policy] of model.pods) pods.set(policy, [...(pods.get(policy) ?? []), pod]);
      const described = [...pods].map(([policy, names]) => ({
        pods: names,
        ...describeEnvoy(toXdsResources(policy, transparent)),
      }));
      matchGolden(scenarioFile(name, 'envoy.out.yaml'), described);
    });

    it(`${name}: has no field that Envoy's API lacks, in any mode`, async () => {
      const { model } = await loadScenario(name);
      for (const policy of model.pods.values()) {
        for (const mode of modes) {
          const { listeners, routes, scopes, refusals, extensions, clusters, endpoints } = toXdsResources(policy, mode);
          for (const resources of [listeners, routes, scopes, refusals, extensions, clusters, endpoints]) {
            for (const resource of resources.values()) {
              assert.ok(encodeEnvoy(resource['@type'].replace('type.googleapis.com/', ''), resource).length > 0);
            }
          }
        }
      }
    });
  }
});
