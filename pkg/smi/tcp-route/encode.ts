import { encodePorts } from '../encode-ports.ts';
import type { JsonObject } from '../reader.ts';
import type { TCPRoute } from './tcp-route.ts';

/** The fields of a TCPRoute as `version` has them; undefined when its ports did not decode. */
export function encodeTCPRoute({ ports }: TCPRoute, version: string): JsonObject | undefined {
  return encodePorts(ports, version);
}
