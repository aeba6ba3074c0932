import assert from 'node:assert/strict';
import { protocolOf } from './protocol.ts';

describe('protocolOf', () => {
  const cases: readonly (readonly [name: string, appProtocol: string | undefined, protocol: string])[] = [
    ['', undefined, 'http'],
    ['web', undefined, 'http'],
    ['bookstore-port', undefined, 'http'],
    ['http-8080', undefined, 'http'],
    ['http', undefined, 'http'],
    ['grpc-8079', undefined, 'grpc'],
    ['grpc', undefined, 'grpc'],
    ['grpcx', undefined, 'http'],
    ['tcp-8078', undefined, 'tcp'],
    ['TCP', undefined, 'tcp'],
    ['tcp-server-first', undefined, 'tcp-server-first'],
    ['tcp-server-first-db', undefined, 'tcp-server-first'],
    ['http', 'tcp', 'tcp'],
    ['tcp', 'HTTP', 'http'],
    ['', 'kubernetes.io/h2c', 'http'],
    ['', 'https', 'tcp'],
    ['', 'mysql', 'tcp-server-first'],
    ['http', 'quic', 'tcp'],
  ];
  for (const [name, appProtocol, protocol] of cases) {
    it(`port "${name}" with appProtocol ${appProtocol ?? 'absent'} speaks ${protocol}`, () => {
      const port = { name, ...(appProtocol !== undefined && { appProtocol }) };
      assert.equal(protocolOf(port).protocol, protocol);
      assert.equal(protocolOf(port).unknown === true, appProtocol === 'quic');
    });
  }
});
