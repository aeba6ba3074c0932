import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { MeshSnapshot, Service } from '../catalog/snapshot.ts';
import { proxyVariables, serviceVariables, tcpServices } from './service-variables.ts';

const service = (namespace: string, name: string, port: Partial<Service['ports'][number]>): Service => ({
  namespace,
  name,
  clusterIPs: ['10.96.0.7'],
  headless: false,
  publishNotReadyAddresses: false,
  ports: [{ name: 'main', port: 80, targetPort: 80, protocol: 'TCP', ...port }],
});
const snapshot = {
  services: [
    service('shop', 'my-db', { port: 3306, appProtocol: 'mysql' }),
    service('shop', 'web', {}),
    service('other', 'cache', { port: 6379, name: 'tcp-redis' }),
  ],
} as unknown as MeshSnapshot;

describe('serviceVariables', () => {
  it("are Kubernetes' own, for the Services of the namespace", () => {
    assert.deepEqual(serviceVariables(snapshot, 'shop', undefined), {
      MY_DB_SERVICE_HOST: '10.96.0.7',
      MY_DB_SERVICE_PORT: '3306',
      MY_DB_SERVICE_PORT_MAIN: '3306',
      WEB_SERVICE_HOST: '10.96.0.7',
      WEB_SERVICE_PORT: '80',
      WEB_SERVICE_PORT_MAIN: '80',
    });
  });

  it('lead by proxy to the loopback port of a TCP service; HTTP goes by the proxy', () => {
    const tcp = tcpServices(snapshot).map(({ namespace, name, port }, i) => ({
      service: `${namespace}/${name}:${port}`,
      port: 20_000 + i,
    }));
    assert.deepEqual(tcp, [
      { service: 'shop/my-db:3306', port: 20_000 },
      { service: 'other/cache:6379', port: 20_001 },
    ]);
    const proxy = { port: 15_001, secret: 's3cret', tcp };
    assert.deepEqual(serviceVariables(snapshot, 'shop', proxy), {
      MY_DB_SERVICE_HOST: '127.0.0.1',
      MY_DB_SERVICE_PORT: '20000',
      MY_DB_SERVICE_PORT_MAIN: '20000',
    });
    const variables = proxyVariables(proxy);
    assert.equal(variables['http_proxy'], 'http://w:s3cret@127.0.0.1:15001');
    assert.equal(variables['NO_PROXY'], '');
    assert.equal(variables['TULLE_TCP_OTHER_CACHE_6379'], '127.0.0.1:20001');
  });
});
