import { isIPv4, isIPv6 } from 'node:net';
import { findMeshKey, type FoundKey, type MeshKey } from '../provider/objects/mesh-keys.ts';
import type { InterceptionLists } from './injection-settings.ts';
import { InjectionRefused, type Keyed } from './keys.ts';

/** More than anybody needs; each is a rule that every connection walks through. */
const maxItems = 250;
/** Characters: as many of the longest ranges, with spaces between. */
const longestList = 16 * 1024;

/** What is led past the sidecar of one pod: the mesh's lists and what its annotations add. */
export function toInterception(annotations: Keyed, settings: InterceptionLists = {}): Required<InterceptionLists> {
  const ports = (suffix: MeshKey): readonly number[] => toItems(findMeshKey(annotations, suffix), decodePort);
  const cidrs = (suffix: MeshKey): readonly string[] => toItems(findMeshKey(annotations, suffix), decodeCidr);
  return {
    outboundPortExclusions: union(settings.outboundPortExclusions, ports('outbound-port-exclusion-list')),
    inboundPortExclusions: union(settings.inboundPortExclusions, ports('inbound-port-exclusion-list')),
    outboundCidrExclusions: union(settings.outboundCidrExclusions, cidrs('outbound-ip-range-exclusion-list')),
    outboundCidrInclusions: union(settings.outboundCidrInclusions, cidrs('outbound-ip-range-inclusion-list')),
    interfaceExclusions: settings.interfaceExclusions ?? [],
  };
}

function union<T>(some: readonly T[] = [], more: readonly T[]): readonly T[] {
  return [...new Set([...some, ...more])];
}

function toItems<T>(found: FoundKey | undefined, decode: (item: string) => T): readonly T[] {
  if (found === undefined || found.value.trim() === '') return [];
  if (found.value.length > longestList) {
    throw new InjectionRefused(
      `annotation ${found.key} of the pod has ${found.value.length} characters; ${longestList} are allowed`,
    );
  }
  const items = found.value.split(',').map((item) => item.trim());
  if (items.length > maxItems) {
    throw new InjectionRefused(`annotation ${found.key} of the pod has ${items.length} items; ${maxItems} are allowed`);
  }
  return items.map((item) => {
    try {
      return decode(item);
    } catch (error) {
      throw new InjectionRefused(
        `annotation ${found.key} of the pod: "${item}" ${(error as Error).message}; items are separated by commas`,
      );
    }
  });
}

function decodePort(item: string): number {
  const port = /^\d{1,5}$/.test(item) ? Number(item) : 0;
  if (port < 1 || port > 65_535) throw new Error('is not a port (1 to 65535)');
  return port;
}

function decodeCidr(item: string): string {
  const [address = '', length, ...more] = item.split('/');
  const bits = isIPv4(address) ? 32 : isIPv6(address) ? 128 : undefined;
  const known = bits !== undefined && length !== undefined && more.length === 0 && /^\d{1,3}$/.test(length);
  if (!known || Number(length) > bits) throw new Error('is not a range of addresses such as 10.0.0.0/8 or 10.1.2.3/32');
  return item;
}
