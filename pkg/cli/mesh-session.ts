import { chooseDisplay } from './choose-display.ts';
import type { CliContext } from './context.ts';
import { parseDuration } from './duration.ts';
import { startLaptopMesh, type LaptopMesh } from './laptop-mesh.ts';
import type { UpFlags } from './program.ts';
import { toMeshConfig } from './mesh-config.ts';
import type { MeshReport } from '../dashboard/dashboard.ts';
import type { Flow } from '../observability/flows.ts';
import { getJson } from './mesh-client.ts';
import { watchMesh, type WatchedMesh } from './watch-mesh.ts';

export interface MeshSession {
  readonly mesh: LaptopMesh;
  /** Aborted by the user, or when its time is over. */
  readonly ended: AbortSignal;
  readonly interrupted: () => boolean;
  readonly say: (line: string) => void;
}

/**
 * Runs a mesh with its display until the user ends it or its time is over, then ends all of it. `during` runs beside and
 * may end it earlier; the exit code is what it says.
 */
export async function runSession(
  context: CliContext,
  flags: UpFlags,
  during: (session: MeshSession) => Promise<number>,
): Promise<number> {
  const display = chooseDisplay(context, flags);
  const end = new AbortController();
  let interrupted = false;
  let mesh: LaptopMesh | undefined;
  const stopListening = context.onSignal(() => {
    if (interrupted) {
      mesh?.kill();
      context.exit(130);
    }
    interrupted = true;
    display.say('ending; once more to end at once');
    end.abort();
  });
  const viewing = new AbortController();
  let changed = (): void => undefined;
  let isRead = false;
  const tellFirstRead = (): void => {
    const wanted = mesh?.wanted();
    if (isRead || !wanted) return;
    isRead = true;
    if (wanted.workloads === 0) display.say('no workload is in these files yet; they are watched');
  };
  try {
    mesh = await startLaptopMesh(context, flags, {
      onStart: ({ run, isolation, api, inputs }) => {
        const how = isolation.kind === 'isolated' ? 'isolated' : 'by proxy: a rehearsal, no boundary';
        display.say(`mesh ${run.id} on ${inputs.join(' ')}`);
        display.say(
          `mode ${toMeshConfig(flags).mode}; workloads run ${how} (${isolation.why}); processes keep their output in ${run.path}/p`,
        );
        display.say(`page ${api}`);
      },
      onChange: () => {
        tellFirstRead();
        changed();
      },
      onNotice: (text) => display.say(text),
      onLog: (source, stream, line) => {
        if (flags.logs === true) display.say(`${source}${stream === 'err' ? ' !' : ' |'} ${line}`);
      },
    });
    tellFirstRead();
    changed = watchMesh(toWatched(mesh, toMeshConfig(flags).mode), display, viewing.signal);
    if (flags.runFor !== undefined) {
      const timer = setTimeout(() => end.abort(), parseDuration(flags.runFor));
      end.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
    }
    return await during({ mesh, ended: end.signal, interrupted: () => interrupted, say: display.say });
  } finally {
    viewing.abort();
    await mesh?.stop();
    stopListening();
    if ('end' in display) display.end();
  }
}

function toWatched(mesh: LaptopMesh, mode: string): WatchedMesh {
  return {
    picture() {
      const { run, isolation, api, inputs } = mesh;
      return {
        id: run.id,
        mode,
        isolation: isolation.kind === 'isolated' ? 'isolated' : `by proxy (a rehearsal, no boundary: ${isolation.why})`,
        page: api,
        inputs,
        analyze: ['tulle analyze', ...inputs].join(' '),
        pods: mesh.pods(),
        problems: mesh.problems(),
      };
    },
    async ask() {
      const [report, flows] = await Promise.all([
        getJson<MeshReport>(mesh.api, '/api/mesh'),
        getJson<Flow[]>(mesh.api, '/api/flows?since=1m'),
      ]);
      // While two meshes want one port, the other's controller may answer there.
      return report.id === mesh.run.id ? { report, flows } : undefined;
    },
  };
}
