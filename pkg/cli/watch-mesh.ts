import type { MeshReport } from '../dashboard/dashboard.ts';
import type { Flow } from '../observability/flows.ts';
import type { Problem } from '../problem/problem.ts';
import type { LiveDisplay } from './live-display.ts';
import type { MeshPicture } from './mesh-view.ts';

const pollMs = 1_000;

/** A mesh that is looked at: what is known here, and what its controller says. */
export interface WatchedMesh {
  /** What runs, and what is wrong with it as seen from here. */
  picture(): Omit<MeshPicture, 'report' | 'flows'>;
  /** Undefined: another's controller answers there. */
  ask(): Promise<{ readonly report: MeshReport; readonly flows: readonly Flow[] } | undefined>;
}

/** Shows what runs and what the controller reports, after each change and once a second, until the signal. */
export function watchMesh(mesh: WatchedMesh, display: LiveDisplay, signal: AbortSignal): () => void {
  let report: MeshReport | undefined;
  let flows: readonly Flow[] = [];
  let timer: NodeJS.Timeout | undefined;
  let waiting = false;

  function picture(): MeshPicture {
    const own = mesh.picture();
    return {
      ...own,
      ...(report === undefined ? {} : { report }),
      flows,
      problems: unique([...own.problems, ...(report?.problems ?? [])]),
    };
  }

  async function poll(): Promise<void> {
    try {
      const said = await mesh.ask();
      if (said !== undefined) ({ report, flows } = said);
    } catch {
      // The controller starts, or was killed and comes again: the last picture stays.
    }
    if (signal.aborted) return;
    display.show(picture());
    timer = setTimeout(() => void poll(), pollMs);
  }

  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  void poll();
  return () => {
    if (waiting || signal.aborted) return;
    waiting = true;
    setImmediate(() => {
      waiting = false;
      if (!signal.aborted) display.show(picture());
    });
  };
}

/**
 * The supervisor and the controller read the same files: what both found is told once. What has no name, as a file or a
 * document, is known by its place.
 */
export function unique(problems: readonly Problem[]): readonly Problem[] {
  const seen = new Map<string, Problem>();
  for (const problem of problems) {
    const { resource, field, reason, message, position } = problem;
    const name = resource.name === '' && position ? `${position.file}:${position.line}` : resource.name;
    seen.set(`${resource.kind} ${resource.namespace}/${name} ${field} ${reason} ${message}`, problem);
  }
  return [...seen.values()];
}
