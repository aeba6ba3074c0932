import { readFile } from 'node:fs/promises';

export interface Place {
  readonly ip: string;
  readonly port: number;
}

/**
 * Where a redirected connection wanted to go. Node can't ask for SO_ORIGINAL_DST; but the app's own end of the
 * connection is a socket of the same network, and the kernel lists it, with the address that the app dialled, in
 * proc(5) net/tcp or, for a socket of both families, in net/tcp6. `client` is the app's end.
 */
export async function findOriginalDestination(
  client: Place,
  read: (file: string) => Promise<string> = (file) => readFile(file, 'latin1'),
): Promise<Place | undefined> {
  for (const { file, encode, decode } of tables) {
    const local = `${encode(client.ip)}:${toHexPort(client.port)}`;
    const text = await read(file).catch(() => '');
    // After the number of the line: further on, the same is the far end of our own socket.
    const found = `: ${local} `;
    const at = text.indexOf(found);
    if (at === -1) continue;
    const [remote = ''] = text.slice(at + found.length, at + found.length + 64).split(' ', 1);
    const [address = '', port = ''] = remote.split(':');
    const ip = decode(address);
    if (ip !== undefined && /^[0-9A-F]{4}$/.test(port)) return { ip, port: Number.parseInt(port, 16) };
  }
  return undefined;
}

/** Addresses are words in the byte order of the machine: little endian, wherever laptops are. */
const mapped = '0000000000000000FFFF0000';
const tables = [
  { file: '/proc/self/net/tcp', encode: toHex, decode: fromHex },
  {
    file: '/proc/self/net/tcp6',
    encode: (ip: string): string => mapped + toHex(ip),
    decode: (hex: string): string | undefined =>
      hex.startsWith(mapped) ? fromHex(hex.slice(mapped.length)) : undefined,
  },
] as const;

function toHex(ip: string): string {
  const bytes = ip.split('.').map((part) => Number(part).toString(16).toUpperCase().padStart(2, '0'));
  return bytes.reverse().join('');
}

function fromHex(hex: string): string | undefined {
  if (!/^[0-9A-F]{8}$/.test(hex)) return undefined;
  return [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
}

function toHexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}
