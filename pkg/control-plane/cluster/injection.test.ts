import assert from 'node:assert/strict';
import { decodeMeshConfigObject } from '../../provider/kubernetes/mesh-config-object.ts';
import type { KubernetesConfig } from '../kubernetes-config.ts';
import { toInjectionSettings } from './injection.ts';

const kubernetes = {
  namespace: 'tulle-system',
  meshName: 'osm',
  service: 'tulle-controller',
  xdsPort: 15128,
  otlpPort: 15129,
  injection: {
    sidecarImage: 'sidecar:1',
    logLevel: 'warning',
    resources: { requests: { cpu: '10m' } },
    interception: { outboundPortExclusions: [25] },
  },
} as unknown as KubernetesConfig;
const facts = { version: '1.0.0', kubernetesMinor: 34 };

const meshConfig = (spec: object) =>
  decodeMeshConfigObject({
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshConfig',
    metadata: { name: 'osm-mesh-config', namespace: 'tulle-system' },
    spec,
  });

describe('settings of injection', () => {
  it('are the chart’s as long as the MeshConfig says nothing', () => {
    const { interception, ...settings } = toInjectionSettings(kubernetes, facts, undefined);
    assert.deepEqual(settings, {
      ...{ sidecarImage: 'sidecar:1', logLevel: 'warning', resources: { requests: { cpu: '10m' } } },
      ...{ version: '1.0.0', kubernetesMinor: 34, meshName: 'osm', controlNamespace: 'tulle-system' },
      ...{ service: 'tulle-controller', xdsPort: 15128, otlpPort: 15129 },
    });
    assert.deepEqual(interception?.outboundPortExclusions, [25]);
    const empty = toInjectionSettings(kubernetes, facts, meshConfig({ sidecar: { resources: {}, logLevel: '' } }));
    assert.deepEqual(empty, { ...settings, interception });
  });

  it('are the MeshConfig’s where it says something; its lists add to the chart’s', () => {
    const settings = toInjectionSettings(
      kubernetes,
      facts,
      meshConfig({
        sidecar: {
          logLevel: 'debug',
          envoyImage: 'sidecar:2',
          enablePrivilegedInitContainer: true,
          localProxyMode: 'PodIP',
          resources: { limits: { memory: '1Gi' } },
        },
        traffic: {
          outboundPortExclusionList: [3306, 25],
          inboundPortExclusionList: [6379],
          outboundIPRangeExclusionList: ['10.0.0.0/8'],
          outboundIPRangeInclusionList: ['0.0.0.0/0'],
          networkInterfaceExclusionList: ['net1'],
        },
      }),
    );
    assert.equal(settings.sidecarImage, 'sidecar:1', 'the chart’s alone');
    assert.equal(settings.logLevel, 'debug');
    assert.equal(settings.privilegedInit, true);
    assert.equal(settings.localProxyMode, 'PodIP');
    assert.deepEqual(settings.resources, { limits: { memory: '1Gi' } });
    assert.deepEqual(settings.interception, {
      outboundPortExclusions: [25, 3306],
      inboundPortExclusions: [6379],
      outboundCidrExclusions: ['10.0.0.0/8'],
      outboundCidrInclusions: ['0.0.0.0/0'],
      interfaceExclusions: ['net1'],
    });
  });
});
