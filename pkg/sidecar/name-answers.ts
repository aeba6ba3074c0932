import type { DnsAnswer } from './dns-message.ts';
import type { AnswerName } from './dns-server.ts';
import type { OutsideNames } from './outside-names.ts';

export interface NameAnswersOptions {
  /** The names of the mesh, in the form of hosts(5): what apps that read no /etc/hosts are told as well. */
  readonly hosts: () => string;
  /** Namespaces of the mesh: what ends with one is a Service that isn't there, and nobody's outside. */
  readonly namespaces: () => ReadonlySet<string>;
  readonly outside: OutsideNames;
  /** Whether a name exists outside. Absent: nobody is asked, and every name stands for itself; the call tells. */
  readonly exists?: (name: string) => Promise<boolean>;
}

const meshSeconds = 5;
/** Long enough for one start of a program; an address is kept much longer than that. */
const outsideSeconds = 60;
const maxName = 253;

/** The answers of a pod's name server: names of the mesh by their addresses, others by addresses that stand for them. */
export function createNameAnswers({ hosts, namespaces, outside, exists }: NameAnswersOptions): AnswerName {
  let text = '';
  let known = new Map<string, string[]>();

  function meshAddresses(name: string): readonly string[] | undefined {
    const now = hosts();
    if (now !== text) known = decodeHosts((text = now));
    return known.get(name);
  }

  return async (name) => {
    if (name === 'localhost' || name.endsWith('.localhost')) return found(['127.0.0.1'], meshSeconds);
    const addresses = meshAddresses(name);
    if (addresses) return found(addresses, meshSeconds);
    if (!isHostName(name) || isOfMesh(name, namespaces())) return noSuchName;
    if (exists) {
      if (!(await exists(name))) return noSuchName;
    } else if (!name.includes('.')) {
      return noSuchName;
    }
    return found([outside.addressOf(name)], outsideSeconds);
  };
}

const noSuchName: DnsAnswer = { code: 'no-such-name', addresses: [], ttlSeconds: 0 };

function found(addresses: readonly string[], ttlSeconds: number): DnsAnswer {
  return { code: 'ok', addresses, ttlSeconds };
}

function isHostName(name: string): boolean {
  return name.length <= maxName && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?$/.test(name) && !name.includes('..');
}

function isOfMesh(name: string, namespaces: ReadonlySet<string>): boolean {
  const last = name.slice(name.lastIndexOf('.') + 1);
  return last === 'svc' || last === 'arpa' || name.endsWith('.cluster.local') || namespaces.has(last);
}

/** IPv4 addresses by name. */
function decodeHosts(text: string): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...aliases] = line.split(' ');
    if (address.includes(':')) continue;
    for (const alias of aliases) {
      const addresses = names.get(alias);
      if (addresses) addresses.push(address);
      else names.set(alias, [address]);
    }
  }
  return names;
}
