import { open } from 'node:fs/promises';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import { namesOf } from './host-index.ts';

/**
 * Names of the mesh in the form of hosts(5), for an app of `namespace`. The name of a headless Service leads to its
 * ready pods, as DNS has it; a pod's own name to the pod in any case.
 */
export function toHosts(
  directory: Iterable<DirectoryEntry>,
  namespace: string,
  self?: HostLine,
  isReady: (key: string, podIp: string) => boolean = () => true,
): string {
  const byAddress = new Map<string, Set<string>>();
  const add = (ip: string, names: readonly string[]): void => {
    const known = byAddress.get(ip);
    if (known) for (const name of names) known.add(name);
    else byAddress.set(ip, new Set(names));
  };
  add('127.0.0.1', ['localhost']);
  add('::1', ['localhost', 'ip6-localhost', 'ip6-loopback']);
  if (self) add(self.ip, self.names);
  for (const entry of directory) {
    const names = namesOf(entry, namespace);
    for (const ip of entry.addresses) add(ip, names);
    for (const { ip, hostnames } of entry.pods ?? []) {
      const own = hostnames.map((name) => name.toLowerCase());
      add(ip, isReady(entry.key, ip) ? [...own, ...names] : own);
    }
  }
  let text = '';
  for (const [ip, names] of byAddress) {
    if (isAddress(ip)) for (const line of toLines(ip, [...names].filter(isName))) text += line;
  }
  return text;
}

export interface HostLine {
  readonly ip: string;
  readonly names: readonly string[];
}

/** Some readers stop at the 35th alias, or at the end of a short buffer. */
const namesPerLine = 8;

function* toLines(ip: string, names: readonly string[]): Generator<string> {
  for (let i = 0; i < names.length; i += namesPerLine) yield `${ip} ${names.slice(i, i + namesPerLine).join(' ')}\n`;
}

function isAddress(text: string): boolean {
  return /^[0-9A-Fa-f.:]+$/.test(text);
}

function isName(text: string): boolean {
  return /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text) && text.length <= 253;
}

/**
 * Replaces the content of a hosts file in place: it lies over /etc/hosts as a bind mount, which shows one inode.
 * Written before it is cut, so that no reader finds it empty.
 */
export async function writeHosts(path: string, text: string): Promise<void> {
  const file = await open(path, 'r+').catch(() => open(path, 'w'));
  try {
    const bytes = Buffer.from(text, 'utf8');
    await file.write(bytes, 0, bytes.length, 0);
    await file.truncate(bytes.length);
  } finally {
    await file.close();
  }
}
