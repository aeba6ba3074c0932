import type { AdsProtocol } from './ads-stream.ts';
import { decodeNode, type NodeInfo } from './node-info.ts';
import { WireReader } from './wire.ts';

/** What the first message says of its client; nobody when it says nothing. Nothing else of it is read. */
export function decodeNodeOf(message: Buffer, protocol: AdsProtocol): NodeInfo {
  const wanted = protocol === 'delta' ? 1 : 2;
  const reader = new WireReader(message);
  let node = nobody;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === wanted) node = decodeNode(reader.bytes());
    else reader.skip();
  }
  return node;
}

export const nobody: NodeInfo = { id: '', cluster: '', userAgent: '', metadata: {} };

/** What a client says of itself goes to logs and pages: cut to a length, control characters out. */
export function clip(text: string): string {
  const printable = text.slice(0, 256).replaceAll(/[^\x20-\x7e]/g, '?');
  // By way of bytes: a part of a text holds the whole of it in memory.
  return Buffer.from(printable, 'latin1').toString('latin1');
}

/** The first entries of what a client says of itself: it stays in memory as long as the stream. */
export function bounded(metadata: NodeInfo['metadata']): NodeInfo['metadata'] {
  let left = longestMetadata;
  return Object.fromEntries(
    Object.entries(metadata).filter(([key, value]) => {
      left -= key.length + value.length + entryCost;
      return left >= 0;
    }),
  );
}

const longestMetadata = 64 * 1024;
/** Of an entry, beside its characters. */
const entryCost = 48;
