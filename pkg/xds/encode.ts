import { createHash } from 'node:crypto';
import type { EncodedResource, ResourceView } from './resources.ts';
import { toBytesField, toFieldHead, toStringField } from './wire.ts';

/** For each resource, field 2 of a DeltaDiscoveryResponse with it: tag, length, Resource. */
const framed = new WeakMap<EncodedResource, Buffer>();

export const emptyView: ResourceView = { resources: new Map() };

/**
 * Encodes a resource once and for all streams (DECISIONS E7). The version is a hash of the content, so that it is the
 * same after a restart of the control plane (E6).
 */
export function toEncodedResource(name: string, typeUrl: string, value: Uint8Array): EncodedResource {
  const any = Buffer.concat([toStringField(1, typeUrl), value.length > 0 ? toBytesField(2, value) : Buffer.alloc(0)]);
  const version = createHash('sha256').update(any).digest('base64url').slice(0, 16);
  return frame({ name, version, any });
}

/** The bytes of a resource as a delta response carries them; computed once. */
export function framedBytes(resource: EncodedResource): Buffer {
  return framed.get(resource) ?? framedBytes(frame(resource));
}

/** Keeps one buffer for both forms: `any` is a part of the framed bytes. */
function frame({ name, version, any }: EncodedResource): EncodedResource {
  const head = Buffer.concat([toStringField(1, version), toFieldHead(2, any.length)]);
  const tail = toStringField(3, name);
  const outer = toFieldHead(2, head.length + any.length + tail.length);
  const bytes = Buffer.concat([outer, head, any, tail]);
  const start = outer.length + head.length;
  const resource = { name, version, any: bytes.subarray(start, start + any.length) };
  framed.set(resource, bytes);
  return resource;
}

export function toResourceView(resources: Iterable<EncodedResource>): ResourceView {
  const byName = new Map<string, EncodedResource>();
  for (const resource of resources) byName.set(resource.name, resource);
  return { resources: byName };
}
