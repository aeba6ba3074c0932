import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { kill } from 'node:process';

/** A process that may have ended since, its number given to another: `started` tells them apart. */
export interface ProcessMark {
  readonly pid: number;
  readonly started: string;
}

export function markProcess(pid: number): ProcessMark {
  return { pid, started: startOf(pid) ?? '' };
}

export function isRunning({ pid, started }: ProcessMark): boolean {
  const now = startOf(pid);
  return now !== undefined && now === started;
}

/** When a process was started, in whatever unit the system has; undefined when it doesn't run (or is a zombie). */
function startOf(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : fields[18];
  } catch (error) {
    if (isAlive(pid) && (error as NodeJS.ErrnoException).code === 'ENOENT') return startByPs(pid);
    return undefined;
  }
}

/** Systems without /proc. */
function startByPs(pid: number): string | undefined {
  try {
    return (
      execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', timeout: 5000 }).trim() || undefined
    );
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  return sendSignal(pid, 0);
}

/** A negative number is a process group. False: there is none, or it is not ours. */
export function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}
