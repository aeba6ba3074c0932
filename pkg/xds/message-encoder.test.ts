import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fromJSON, type MessageTypeDefinition } from '@grpc/proto-loader';
import { createMessageEncoder, type DescriptorNode } from './message-encoder.ts';

const json = JSON.parse(readFileSync('build/protos.json', 'utf8')) as DescriptorNode;

/** What protobufjs reads out of bytes of ours. */
function decode(typeName: string, bytes: Buffer): unknown {
  const options = { keepCase: true, enums: String, longs: String, json: true };
  const types = fromJSON(json, options);
  return (types[typeName] as MessageTypeDefinition<object, object>).deserialize(bytes);
}

const encoder = createMessageEncoder(json);
const encode = (typeName: string, message: object): Buffer => encoder.encode(typeName, message);
const cluster = 'envoy.config.cluster.v3.Cluster';

describe('createMessageEncoder', function () {
  this.timeout(20_000);

  it('writes messages that protobufjs reads', () => {
    const message = {
      name: 'shop/cart:80',
      type: 'EDS',
      connect_timeout: '1.500s',
      eds_cluster_config: { eds_config: { ads: {}, resource_api_version: 'V3' } },
      lb_policy: 'LEAST_REQUEST',
      circuit_breakers: { thresholds: [{ max_connections: 1024 }, { priority: 'HIGH' }] },
      respect_dns_ttl: true,
      metadata: { filter_metadata: { tulle: { a: 1, b: ['x', null, true], c: { d: 'e' } } } },
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 100 } },
        },
      },
    };

    const decoded = decode(cluster, encode(cluster, message)) as typeof message;

    assert.equal(decoded.name, message.name);
    assert.deepEqual(decoded.connect_timeout, { seconds: '1', nanos: 500_000_000 });
    assert.deepEqual(decoded.eds_cluster_config.eds_config, message.eds_cluster_config.eds_config);
    assert.equal(decoded.lb_policy, 'LEAST_REQUEST');
    assert.deepEqual(decoded.circuit_breakers.thresholds, [{ max_connections: { value: 1024 } }, { priority: 'HIGH' }]);
    assert.deepEqual(Object.values(decoded.typed_extension_protocol_options)[0], {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: { max_concurrent_streams: { value: 100 } } },
    });
    const { tulle } = decoded.metadata.filter_metadata as unknown as Record<
      string,
      { fields: Record<string, unknown> }
    >;
    assert.deepEqual(tulle?.fields['a'], { numberValue: 1 });
    assert.deepEqual(tulle?.fields['b'], {
      listValue: { values: [{ stringValue: 'x' }, { nullValue: 'NULL_VALUE' }, { boolValue: true }] },
    });
  });

  it('writes every kind of number', () => {
    const message = { weight: 7, min: -1 };
    const range = { start: '-9007199254740993', end: 5 };

    assert.deepEqual(decode('envoy.type.v3.Int64Range', encode('envoy.type.v3.Int64Range', range)), {
      start: '-9007199254740993',
      end: '5',
    });
    assert.deepEqual(
      decode('envoy.type.v3.DoubleRange', encode('envoy.type.v3.DoubleRange', { start: 0.5, end: -2 })),
      {
        start: 0.5,
        end: -2,
      },
    );
    assert.deepEqual(decode('envoy.type.v3.Int32Range', encode('envoy.type.v3.Int32Range', { start: message.min })), {
      start: -1,
    });
  });

  it('names what does not exist or does not fit', () => {
    const refused = (message: object, expected: RegExp): void =>
      assert.throws(() => encode(cluster, message), expected);

    refused({ nmae: 'x' }, /envoy\.config\.cluster\.v3\.Cluster: .* has no field "nmae"/);
    refused({ edsClusterConfig: {} }, /no field "edsClusterConfig"/);
    refused({ name: 1 }, /Cluster\.name: text expected, not 1/);
    refused({ connect_timeout: 5 }, /connect_timeout: text expected/);
    refused({ connect_timeout: '5' }, /connect_timeout: a duration/);
    refused({ lb_policy: 'RANDOMLY' }, /lb_policy: one of .*LbPolicy expected/);
    refused({ circuit_breakers: { thresholds: [{}, { max_connections: -1 }] } }, /thresholds\[1\]\.max_connections/);
    refused({ health_checks: {} }, /health_checks: a list expected/);
    refused({ transport_socket: { typed_config: {} } }, /typed_config\.@type: text expected/);
    refused({ transport_socket: { typed_config: { '@type': 'x/no.Such' } } }, /no message no\.Such/);
  });
});
