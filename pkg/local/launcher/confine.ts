import { readdirSync, readFileSync } from 'node:fs';
import type { Confinement, ProcessSpec } from '../launcher-protocol.ts';

/**
 * The command that runs a program as an app of an isolated pod (DECISIONS L2): an empty file system lies over the run
 * directories, then a user, mount and process namespace of its own. So it has no rights over the network of its pod, can't take the
 * cover away, and sees no other process; the unix user, and so the rights on the user's files, stays.
 */
export function confinedCommand({ program, args }: ProcessSpec, { hide, uid, gid }: Confinement): readonly string[] {
  const cover = ['unshare', '--mount', '--', 'sh', '-c', coverScript, 'tulle-app', hide];
  const enter = [
    'unshare',
    '--user',
    `--map-user=${uid}`,
    `--map-group=${gid}`,
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--',
  ];
  // Root stays root by name, for its files, but without a single capability.
  const drop = uid === 0 ? ['setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'] : [];
  return [...cover, ...enter, ...drop, 'sh', '-c', initScript, 'tulle-app', program, ...args];
}

const coverScript = 'mount -n -t tmpfs -o mode=755,size=64k tmpfs "$1" || exit 125; shift; exec "$@"';
/**
 * The first process of a namespace reaps orphans and is deaf to signals without handler: so the app is its child. What this
 * shell itself would say, "Terminated" and the like, goes nowhere.
 */
const initScript = 'exec 3>&2 2> /dev/null; "$@" 2>&3 3>&-; exit $?';

/** The program that a confined command runs: the child of the child, `unshare` and the first process lie between. */
export function confinedProgram(pid: number): number | undefined {
  const first = childOf(pid);
  return first === undefined ? undefined : childOf(first);
}

function childOf(parent: number): number | undefined {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      // pid (name) state ppid …; a name may contain anything, brackets too.
      const [, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(ppid) === parent) return Number(entry);
    } catch {
      // It ended while we looked.
    }
  }
  return undefined;
}
