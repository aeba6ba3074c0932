import assert from 'node:assert/strict';
import { appPortsMetadata, outboundMetadata, toInterceptionMode, transparent } from './interception.ts';

describe('toInterceptionMode', () => {
  it('is that of a pod of Kubernetes where nothing is said', () => {
    assert.deepEqual(toInterceptionMode(undefined), transparent);
  });

  it('reads where a proxy takes calls', () => {
    const mode = toInterceptionMode('unix:/run/x/in-{port}.sock', {
      [outboundMetadata]: '{"port": 15009, "authorization": "Basic eA==", "tcp": {"shop/db:3306": 13306}}',
      [appPortsMetadata]: '{"8080": 24001}',
    });
    assert.deepEqual(mode, {
      inbound: { kind: 'sockets', template: '/run/x/in-{port}.sock', appPorts: new Map([[8080, 24001]]) },
      outbound: {
        kind: 'proxy',
        port: 15009,
        authorization: 'Basic eA==',
        tcpPorts: new Map([['shop/db:3306', 13306]]),
      },
    });
  });

  it('counts metadata that can not be read as absent: it is the client who writes it', () => {
    for (const text of ['', '{', '[]', 'null', '{"port": 0}', '{"port": "1"}', '{"port": 70000}']) {
      assert.deepEqual(toInterceptionMode(undefined, { [outboundMetadata]: text }), transparent, text);
    }
    const mode = toInterceptionMode(undefined, {
      [outboundMetadata]: '{"port": 1, "tcp": {"a": "b"}, "authorization": 5}',
    });
    assert.deepEqual(mode.outbound, { kind: 'proxy', port: 1, tcpPorts: new Map() });
  });
});
