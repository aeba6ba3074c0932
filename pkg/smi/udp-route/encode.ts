import { encodePorts } from '../encode-ports.ts';
import type { JsonObject } from '../reader.ts';
import type { UDPRoute } from './udp-route.ts';

/** The fields of a UDPRoute as `version` has them; undefined when its ports did not decode. */
export function encodeUDPRoute({ ports }: UDPRoute, version: string): JsonObject | undefined {
  return encodePorts(ports, version);
}
