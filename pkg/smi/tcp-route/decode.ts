import type { HubObject } from '../hub.ts';
import { decodePorts } from '../ports.ts';
import type { JsonObject, ObjectReader } from '../reader.ts';
import type { TCPRoute } from './tcp-route.ts';

/** Decodes specs v1alpha1 and v1alpha2 (no spec), v1alpha3 (empty spec) and v1alpha4 (ports). */
export function decodeTCPRoute(raw: JsonObject, meta: HubObject, version: string, reader: ObjectReader): TCPRoute {
  return { ...meta, kind: 'TCPRoute', ...decodePorts(raw, version, reader) };
}
