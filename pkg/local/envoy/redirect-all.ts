import { spawn } from 'node:child_process';

/**
 * Sends every TCP connection that an isolated pod opens to Envoy, but those to itself: Envoy asks the kernel where it
 * was going, so that one rule does for all services. Envoy's own leave by unix sockets, which no rule sees.
 */
export async function redirectAll(tool: 'iptables' | 'nft' | 'none', port: number, ownIp: string): Promise<void> {
  if (!/^[0-9.]+$/.test(ownIp)) throw new Error(`not an IPv4 address: ${ownIp}`);
  if (tool === 'nft') await run('nft', ['-f', '-'], toNftRules(port, ownIp));
  else if (tool === 'iptables') await run('iptables-restore', ['--noflush'], toIptablesRules(port, ownIp));
}

/** Starts from nothing, so that a sidecar that is started again changes nothing. */
export function toNftRules(port: number, ownIp: string): string {
  return [
    'add table ip tulle_out',
    'delete table ip tulle_out',
    'table ip tulle_out {',
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    `    ip daddr { 127.0.0.0/8, ${ownIp} } return`,
    `    meta l4proto tcp redirect to :${port}`,
    '  }',
    '}',
    '',
  ].join('\n');
}

export function toIptablesRules(port: number, ownIp: string): string {
  return [
    '*nat',
    ':OUTPUT ACCEPT [0:0]',
    '-F OUTPUT',
    '-A OUTPUT -d 127.0.0.0/8 -j RETURN',
    `-A OUTPUT -d ${ownIp}/32 -j RETURN`,
    `-A OUTPUT -p tcp -j REDIRECT --to-ports ${port}`,
    'COMMIT',
    '',
  ].join('\n');
}

function run(program: string, args: readonly string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], {
      stdio: ['pipe', 'ignore', 'pipe'],
      timeout: 10_000,
    });
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString('utf8')).slice(-2_000);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${program}: ${complaint.trim() || `status ${code}`}`));
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
