import { execFile } from 'node:child_process';
import type { OutboundListener } from './outbound-listener.ts';
import { nameserver } from './outside-names.ts';

export type RedirectTool = 'iptables' | 'nft' | 'none';

/** Sends connections to addresses of the mesh to the sidecar's ports, in the network namespace that it runs in. */
export interface Redirect {
  /** Replaces all rules by these, in one transaction. Calls wait for each other; only the newest one that waits is done. */
  apply(listeners: readonly OutboundListener[]): Promise<void>;
}

/** Runs a program with text on its standard input, without a shell. */
export type RunWithInput = (program: string, args: readonly string[], input: string) => Promise<void>;

/** Loopback ports for what isn't of the mesh. */
export interface OutsidePorts {
  readonly tcp: number;
  readonly dnsUdp: number;
  readonly dnsTcp: number;
  /** Ranges that are the mesh's in any case. */
  readonly inside: readonly string[];
}

export function createRedirect(
  tool: RedirectTool,
  run: RunWithInput = runWithInput,
  outside: () => OutsidePorts | undefined = () => undefined,
): Redirect {
  let newest: readonly OutboundListener[] = [];
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;
  let first = true;

  async function write(): Promise<void> {
    if (tool === 'nft') await run('nft', ['-f', '-'], toNftRules(newest, outside()));
    else if (tool === 'iptables')
      await run('iptables-restore', ['--noflush'], toIptablesRules(newest, first, outside()));
    first = false;
  }

  return {
    apply(listeners) {
      newest = listeners;
      if (waiting) return waiting;
      const next = (running ?? Promise.resolve())
        .catch(() => undefined)
        .then(() => {
          running = next;
          waiting = undefined;
          return write();
        });
      waiting = next;
      return next;
    },
  };
}

/**
 * The input of `iptables-restore --noflush`: naming a chain empties it, so that each batch is the whole truth. What
 * the sidecar sends to other sidecars goes over unix sockets, and to the app over 127.0.0.1: neither matches a rule.
 */
export function toIptablesRules(
  listeners: readonly OutboundListener[],
  first: boolean,
  outside?: OutsidePorts,
): string {
  const lines = ['*nat', ':TULLE_OUT - [0:0]'];
  if (first) lines.push(outside ? '-A OUTPUT -j TULLE_OUT' : '-A OUTPUT -p tcp -j TULLE_OUT');
  for (const { ip, dport, port } of toIpv4(listeners)) {
    lines.push(`-A TULLE_OUT -d ${ip}/32 -p tcp --dport ${dport} -j REDIRECT --to-ports ${port}`);
  }
  if (outside) {
    const { tcp, dnsUdp, dnsTcp, inside } = outside;
    lines.push(
      `-A TULLE_OUT -d ${nameserver}/32 -p udp --dport 53 -j REDIRECT --to-ports ${dnsUdp}`,
      `-A TULLE_OUT -d ${nameserver}/32 -p tcp --dport 53 -j REDIRECT --to-ports ${dnsTcp}`,
      ...inside.map((range) => `-A TULLE_OUT -d ${range} -j RETURN`),
      `-A TULLE_OUT -p tcp -m addrtype ! --dst-type LOCAL -j REDIRECT --to-ports ${tcp}`,
    );
  }
  return `${[...lines, 'COMMIT'].join('\n')}\n`;
}

/** The input of `nft -f -`: one lookup in a map for each new connection, however many services there are. */
export function toNftRules(listeners: readonly OutboundListener[], outside?: OutsidePorts): string {
  const elements = toIpv4(listeners).map(({ ip, dport, port }) => `${ip} . ${dport} : ${port}`);
  return [
    'add table ip tulle_out',
    'delete table ip tulle_out',
    'table ip tulle_out {',
    '  map ports {',
    '    type ipv4_addr . inet_service : inet_service',
    ...(elements.length > 0 ? [`    elements = { ${elements.join(', ')} }`] : []),
    '  }',
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    '    meta l4proto tcp redirect to : ip daddr . tcp dport map @ports',
    ...(outside ? toNftOutside(outside) : []),
    '  }',
    '}',
    '',
  ].join('\n');
}

function toNftOutside({ tcp, dnsUdp, dnsTcp, inside }: OutsidePorts): string[] {
  return [
    `    ip daddr ${nameserver} udp dport 53 redirect to :${dnsUdp}`,
    `    ip daddr ${nameserver} tcp dport 53 redirect to :${dnsTcp}`,
    ...inside.map((range) => `    ip daddr ${range} return`),
    '    fib daddr type local return',
    `    meta l4proto tcp redirect to :${tcp}`,
  ];
}

function toIpv4(listeners: readonly OutboundListener[]): { ip: string; dport: number; port: number }[] {
  const rules: { ip: string; dport: number; port: number }[] = [];
  for (const { address, port } of listeners) {
    const [, ip, dport] = /^([0-9]{1,3}(?:\.[0-9]{1,3}){3}):([0-9]{1,5})$/.exec(address) ?? [];
    if (ip !== undefined && dport !== undefined) rules.push({ ip, dport: Number(dport), port });
  }
  return rules;
}

const toolTimeout = 10_000;

function runWithInput(program: string, args: readonly string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, [...args], { timeout: toolTimeout, maxBuffer: 65_536 }, (error, _out, stderr) => {
      if (error) reject(new Error(`${program}: ${stderr.trim() || error.message}`));
      else resolve();
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
