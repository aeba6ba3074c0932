import type { HubObject } from '../hub.ts';
import { decodePorts } from '../ports.ts';
import type { JsonObject, ObjectReader } from '../reader.ts';
import type { UDPRoute } from './udp-route.ts';

/** Decodes specs v1alpha4, the only version that has the kind. */
export function decodeUDPRoute(raw: JsonObject, meta: HubObject, version: string, reader: ObjectReader): UDPRoute {
  return { ...meta, kind: 'UDPRoute', ...decodePorts(raw, version, reader) };
}
