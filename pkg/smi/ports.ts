import { bodyOf } from './body.ts';
import { type JsonObject, type ObjectReader, pointer } from './reader.ts';

/**
 * Reads the ports of a TCPRoute or UDPRoute. Absent: every port, as the text has it for absent and for empty. An empty
 * list: none, since something that stands where a restriction would could not be read.
 *
 * Ports in a version that has none yet are honoured all the same: ignoring them would widen access.
 */
export function decodePorts(
  raw: JsonObject,
  version: string,
  reader: ObjectReader,
): { readonly ports?: readonly number[] } {
  const none = { ports: [] };
  const underSpec = version === 'v1alpha3' || version === 'v1alpha4';
  const body = bodyOf(raw, reader, { underSpec, names: ['matches'] });
  if (body === undefined) return none;
  const { fields, at } = body;
  const standard = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  const topKnown = reader.onlyKnown(raw, '', at === '' ? [...standard, 'matches'] : standard, 'error');
  const bodyKnown = at === '' || reader.onlyKnown(fields, at, ['matches'], 'error');
  if (!topKnown || !bodyKnown) return none;
  if (fields['matches'] === undefined) return {};

  const matchesAt = pointer(at, 'matches');
  const matches = reader.object(fields['matches'], matchesAt);
  if (matches === undefined || !reader.onlyKnown(matches, matchesAt, ['name', 'ports'], 'error')) return none;
  if (matches['ports'] === undefined) return {};
  const portsAt = pointer(matchesAt, 'ports');
  const list = reader.list(matches['ports'], portsAt);
  if (list === undefined) return none;
  if (list.length === 0) return {};
  const ports = list.flatMap((port, i) => reader.port(port, pointer(portsAt, i)) ?? []);
  return { ports: [...new Set(ports)] };
}
