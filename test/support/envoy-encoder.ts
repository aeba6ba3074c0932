import { readFileSync } from 'node:fs';
import { createMessageEncoder } from '../../pkg/xds/message-encoder.ts';
import type { DescriptorNode } from '../../pkg/xds/message-encoder.ts';

const file = new URL('../../build/protos.json', import.meta.url);
const encoder = createMessageEncoder(JSON.parse(readFileSync(file, 'utf8')) as DescriptorNode);

/** The bytes of a message; throws on a field that Envoy's API does not have. */
export function encodeEnvoy(typeName: string, message: object): Buffer {
  return encoder.encode(typeName, message);
}
