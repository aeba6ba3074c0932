import type { MeshReport } from '../dashboard/dashboard.ts';
import type { Flow } from '../observability/flows.ts';
import type { Problem } from '../problem/problem.ts';
import type { LiveDisplay } from './live-display.ts';
import type { LaptopMesh } from './laptop-mesh.ts';
import type { MeshPicture } from './mesh-view.ts';
import { getJson } from './mesh-client.ts';

const pollMs = 1_000;

/** Shows what runs and what the controller reports, after each change and once a second, until the signal. */
export function watchMesh(mesh: LaptopMesh, mode: string, display: LiveDisplay, signal: AbortSignal): () => void {
  let report: MeshReport | undefined;
  let flows: readonly Flow[] = [];
  let timer: NodeJS.Timeout | undefined;
  let waiting = false;

  function picture(): MeshPicture {
    const { run, isolation, api, inputs } = mesh;
    return {
      id: run.id,
      mode,
      isolation: isolation.kind === 'isolated' ? 'isolated' : `by proxy (a rehearsal, no boundary: ${isolation.why})`,
      page: api,
      inputs,
      ...(report === undefined ? {} : { report }),
      flows,
      pods: mesh.pods(),
      problems: unique([...mesh.problems(), ...(report?.problems ?? [])]),
    };
  }

  async function poll(): Promise<void> {
    try {
      const [mine, calls] = await Promise.all([
        getJson<MeshReport>(mesh.api, '/api/mesh'),
        getJson<Flow[]>(mesh.api, '/api/flows?since=1m'),
      ]);
      // While two meshes want one port, the other's controller may answer there.
      if (mine.id === mesh.run.id) [report, flows] = [mine, calls];
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
