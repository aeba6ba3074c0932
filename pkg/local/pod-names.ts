import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameserver } from '../sidecar/outside-names.ts';
import type { SidecarPod } from './sidecar-program.ts';

/** Writes what lies over /etc/hosts and /etc/resolv.conf of an isolated pod; its sidecar adds the names of the mesh. */
export function writeNames({ dir, ip, plan }: SidecarPod): void {
  mkdirSync(join(dir, 'mnt'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, 'hosts'), `127.0.0.1 localhost\n::1 localhost\n${ip} ${plan.hostname}\n`, { mode: 0o644 });
  // Without our sidecar, names outside of the mesh are nobody's to answer: "refused" at once, rather than a wait.
  const resolver = plan.sidecar === 'node' ? `${nameserver}\noptions timeout:6` : '127.0.0.1\noptions timeout:1';
  writeFileSync(join(dir, 'resolv.conf'), `nameserver ${resolver} attempts:1\n`, { mode: 0o644 });
}
