import assert from 'node:assert/strict';
import { decodeMeshConfigObject, type MeshConfigObject } from './mesh-config-object.ts';

const decode = (spec: object): MeshConfigObject =>
  decodeMeshConfigObject({
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshConfig',
    metadata: { name: 'osm-mesh-config', namespace: 'tulle-system' },
    spec,
  });
const fieldsOf = ({ problems }: MeshConfigObject): string[] => problems.map(({ field }) => field);

/** As OSM v1.2 makes it of its chart's defaults. */
const preset = {
  sidecar: {
    enablePrivilegedInitContainer: false,
    logLevel: 'error',
    maxDataPlaneConnections: 0,
    configResyncInterval: '0s',
    tlsMinProtocolVersion: 'TLSv1_2',
    tlsMaxProtocolVersion: 'TLSv1_3',
    envoyImage: '',
    localProxyMode: 'Localhost',
    cipherSuites: [],
    ecdhCurves: null,
  },
  traffic: {
    enableEgress: true,
    enablePermissiveTrafficPolicyMode: true,
    inboundExternalAuthorization: { enable: false, statPrefix: 'inboundExtAuthz', timeout: '1s' },
  },
  observability: { osmLogLevel: 'info', enableDebugServer: false, tracing: { enable: false } },
  certificate: { serviceCertValidityDuration: '24h', certKeyBitSize: 2048 },
  featureFlags: { enableWASMStats: true, enableEgressPolicy: true, enableMulticlusterMode: false },
};

describe('a MeshConfig', () => {
  it('of OSM’s defaults is taken without a word', () => {
    const object = decode(preset);
    assert.deepEqual(object.problems, []);
    assert.deepEqual([object.mode, object.egress], ['permissive', 'allow']);
    assert.equal(object.sidecar.localProxyMode, 'Localhost');
  });

  it('is told each thing that it asks for and does not get', () => {
    const object = decode({
      sidecar: {
        maxDataPlaneConnections: 100,
        tlsMaxProtocolVersion: 'TLSv1_2',
        cipherSuites: ['ECDHE-RSA-AES128-GCM-SHA256'],
        ecdhCurves: ['X25519'],
      },
      traffic: { inboundExternalAuthorization: { enable: true } },
      observability: { osmLogLevel: 'trace', enableDebugServer: true, tracing: { enable: true, address: 'zipkin' } },
      certificate: { serviceCertValidityDuration: '1h', certKeyBitSize: 4096, ingressGateway: {} },
      featureFlags: { enableMulticlusterMode: true },
    });
    assert.deepEqual(fieldsOf(object).sort(), [
      '/spec/certificate/certKeyBitSize',
      '/spec/certificate/ingressGateway',
      '/spec/certificate/serviceCertValidityDuration',
      '/spec/featureFlags/enableMulticlusterMode',
      '/spec/observability/enableDebugServer',
      '/spec/observability/osmLogLevel',
      '/spec/observability/tracing/enable',
      '/spec/sidecar/cipherSuites',
      '/spec/sidecar/ecdhCurves',
      '/spec/sidecar/maxDataPlaneConnections',
      '/spec/sidecar/tlsMaxProtocolVersion',
      '/spec/traffic/inboundExternalAuthorization/enable',
    ]);
  });

  it('names no image: pods would not start with a plain Envoy, whatever a mirror calls it', () => {
    for (const envoyImage of ['envoyproxy/envoy-distroless:v1.40.0', 'corp/envoyproxy-mirror:v1.38', 'tulle/sidecar']) {
      const object = decode({ sidecar: { envoyImage, initContainerImage: 'openservicemesh/init:v1.2.4' } });
      assert.deepEqual(object.sidecar, {});
      assert.deepEqual(fieldsOf(object), ['/spec/sidecar/envoyImage', '/spec/sidecar/initContainerImage']);
      assert.match(object.problems[0]?.fix ?? '', /image\.sidecar\.repository/);
    }
  });

  it('says nothing that a sidecar could not start with', () => {
    const object = decode({ sidecar: { logLevel: 'verbose', localProxyMode: 'Elsewhere' } });
    assert.deepEqual(object.sidecar, {});
    assert.deepEqual(fieldsOf(object), ['/spec/sidecar/logLevel', '/spec/sidecar/localProxyMode']);
  });
});
