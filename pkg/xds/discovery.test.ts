import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fromJSON, type MessageTypeDefinition } from '@grpc/proto-loader';
import {
  decodeAny,
  decodeDeltaRequest,
  decodeDeltaResponse,
  decodeSotwRequest,
  decodeSotwResponse,
  type DeltaRequest,
  encodeDeltaRequest,
  encodeSotwRequest,
  type SotwRequest,
} from './discovery.ts';
import { toEncodedResource, toResourceView } from './encode.ts';
import { createResponseEncoder } from './response-encoder.ts';
import { decodeSecret, encodeSecret, type Secret } from './secret.ts';

type Message = MessageTypeDefinition<object, Record<string, unknown>>;

const service = 'envoy.service.discovery.v3';

describe('the messages of ADS', function () {
  this.timeout(20_000);
  let types: Record<string, Message>;
  before(() => {
    const json = JSON.parse(readFileSync('build/protos.json', 'utf8')) as object;
    const options = { keepCase: true, enums: String, longs: String };
    types = fromJSON(json, options) as unknown as Record<string, Message>;
  });
  const typeOf = (name: string): Message => types[name] ?? assert.fail(name);

  const node = { id: 'n', cluster: 'c', userAgent: 'envoy/1.40.0', metadata: { NAMESPACE: 'shop', IP: '10.0.0.1' } };
  const delta: DeltaRequest = {
    node,
    typeUrl: 't',
    subscribe: ['a', 'ü'],
    unsubscribe: ['c'],
    initialVersions: new Map([['a', '1']]),
    nonce: '7',
    error: { code: 3, message: 'bad' },
  };
  const sotw: SotwRequest = {
    node,
    typeUrl: 't',
    version: 'v',
    names: ['a'],
    nonce: '7',
    error: { code: 3, message: 'x' },
  };

  it('are read as protobufjs writes them', () => {
    const written = {
      id: 'n',
      cluster: 'c',
      metadata: {
        fields: { NAMESPACE: { stringValue: 'shop' }, IP: { stringValue: '10.0.0.1' }, n: { numberValue: 1 } },
      },
      user_agent_name: 'envoy',
      user_agent_build_version: { version: { major_number: 1, minor_number: 40 } },
      extensions: [{ name: 'x', category: 'y' }],
    };
    const request = typeOf(`${service}.DeltaDiscoveryRequest`).serialize({
      node: written,
      type_url: 't',
      resource_names_subscribe: delta.subscribe,
      resource_names_unsubscribe: delta.unsubscribe,
      initial_resource_versions: { a: '1' },
      response_nonce: '7',
      error_detail: { code: 3, message: 'bad', details: [{ type_url: 'z' }] },
    });
    const old = typeOf(`${service}.DiscoveryRequest`).serialize({
      node: written,
      type_url: 't',
      version_info: 'v',
      resource_names: ['a'],
      response_nonce: '7',
      error_detail: { code: 3, message: 'x' },
    });

    assert.deepEqual(plain(decodeDeltaRequest(Buffer.from(request))), plain(delta));
    assert.deepEqual(plain(decodeSotwRequest(Buffer.from(old))), plain(sotw));
  });

  it('are written so that we and protobufjs read them', () => {
    assert.deepEqual(plain(decodeDeltaRequest(encodeDeltaRequest(delta))), plain(delta));
    assert.deepEqual(plain(decodeSotwRequest(encodeSotwRequest(sotw))), plain(sotw));
    const read = typeOf(`${service}.DeltaDiscoveryRequest`).deserialize(encodeDeltaRequest(delta));
    assert.deepEqual(read['initial_resource_versions'], { a: '1' });
    assert.deepEqual(read['error_detail'], { code: 3, message: 'bad' });
  });

  it('carry resources as the bytes that they were encoded to', () => {
    const resource = toEncodedResource('shop/cart', 't', Buffer.from('{"a":1}'));
    const encoder = createResponseEncoder();
    const [body] = encoder.delta({ typeUrl: 't', changed: [resource], removed: ['gone'] });
    const { resources, removed, nonce } = decodeDeltaResponse(body?.bytes ?? Buffer.alloc(0));
    assert.deepEqual(removed, ['gone']);
    assert.equal(nonce, body?.nonce);
    assert.deepEqual(resources[0]?.any, resource.any);
    assert.equal(decodeAny(resource.any).value.toString(), '{"a":1}');
    const read = typeOf(`${service}.DeltaDiscoveryResponse`).deserialize(body?.bytes ?? Buffer.alloc(0));
    const [first] = read['resources'] as { name: string; version: string; resource: { type_url: string } }[];
    assert.equal(`${first?.name} ${first?.version} ${first?.resource.type_url}`, `shop/cart ${resource.version} t`);

    const old = encoder.sotw({ typeUrl: 't', version: 'v', resources: [resource] });
    assert.deepEqual(decodeSotwResponse(old.bytes).resources, [resource.any]);
    assert.equal(typeOf(`${service}.DiscoveryResponse`).deserialize(old.bytes)['version_info'], 'v');
  });

  it('are made once for all streams', () => {
    const encoder = createResponseEncoder();
    const from = toResourceView([toEncodedResource('a', 't', Buffer.from('1'))]);
    const to = toResourceView([toEncodedResource('a', 't', Buffer.from('2'))]);
    const { changed, removed } = encoder.diff(from, to);

    assert.equal(encoder.diff(from, to).changed, changed);
    const content = { typeUrl: 't', changed, removed };
    assert.equal(encoder.delta(content)[0]?.bytes, encoder.delta(content)[0]?.bytes);
  });

  it('carry secrets that Envoy reads', () => {
    const secrets: Secret[] = [
      { kind: 'certificate', name: 'identity', chain: Buffer.from('chain'), privateKey: Buffer.from('key') },
      { kind: 'roots', name: 'roots', roots: Buffer.from('roots') },
    ];
    for (const secret of secrets) assert.deepEqual(decodeSecret(encodeSecret(secret)), secret);
    const type = typeOf('envoy.extensions.transport_sockets.tls.v3.Secret');
    const [certificate, roots] = secrets.map((secret) => type.deserialize(encodeSecret(secret)));
    assert.deepEqual(certificate?.['tls_certificate'], {
      certificate_chain: { inline_bytes: Buffer.from('chain') },
      private_key: { inline_bytes: Buffer.from('key') },
    });
    assert.deepEqual(roots?.['validation_context'], { trusted_ca: { inline_bytes: Buffer.from('roots') } });
    assert.throws(() => decodeSecret(Buffer.alloc(0)), /neither/);
  });
});

/** Maps and objects without prototype as plain data. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_key, item: unknown) => (item instanceof Map ? [...item] : item)));
}
