import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Call } from '../../pkg/observability/call.ts';
import { processesWith } from './process-table.ts';
import { eventually, startTulle, tulle, type RunningTulle } from './tulle-process.ts';

/** A mesh that runs, and the questions that tests ask of it. */
export interface RunningMesh extends RunningTulle {
  readonly folder: string;
  /** Its run directory. */
  readonly run: string;
  api(): string;
  /** Calls that the sidecars reported. */
  calls(since?: string): Promise<readonly Call[]>;
  /** `tulle run --as … -- command`. */
  as(account: string, command: readonly string[]): Promise<{ readonly code: number; readonly output: string }>;
  /** Pid of a program of ours (`controller.js`, `sidecar.js`) of this mesh; of one pod, when its name is given. */
  program(name: string, pod?: string): number | undefined;
  /** What the browser of the user gets from a pod. */
  visit(pod: RegExp, path: string): Promise<string>;
}

export async function startMesh(folder: string, args: readonly string[]): Promise<RunningMesh> {
  const running = startTulle(args);
  const [, run = ''] = /(\/\S+)\/p$/.exec(await running.line(/processes keep their output in/)) ?? [];
  const api = (): string => (JSON.parse(readFileSync(join(run, 'mesh.json'), 'utf8')) as { api: string }).api;
  const mesh: RunningMesh = {
    ...running,
    folder,
    run,
    api,
    calls: async (since = '10m') =>
      (await fetch(`${api()}/api/requests?since=${since}&limit=50000`)).json() as Promise<Call[]>,
    as: (account, command) => tulle(['run', '-f', folder, '--as', account, '--', ...command]),
    program: (name, pod) =>
      processesWith(run)
        .filter(({ command }) => command.includes(`/${name} --config `))
        .find(({ command }) => pod === undefined || dirname(command.split('--config ')[1] ?? '').includes(pod))?.pid,
    async visit(pod, path) {
      const address = await eventually(`the address of ${pod}`, async () => {
        const { pods } = (await (await fetch(`${api()}/api/mesh`)).json()) as {
          pods: { pod: string; address?: string }[];
        };
        return pods.find((entry) => pod.test(entry.pod))?.address;
      });
      return (await fetch(`${address}${path}`)).text();
    },
  };
  return mesh;
}

/** The bookstore, all of it ready. */
export async function startBookstore(folder: string, ...args: string[]): Promise<RunningMesh> {
  const mesh = await startMesh(folder, ['demo', folder, ...args]);
  for (const app of ['bookbuyer', 'bookthief', 'bookstore-v1', 'bookstore-v2', 'bookwarehouse', 'bookdb']) {
    await mesh.line(new RegExp(`/${app}-\\S+: Ready`));
  }
  return mesh;
}

export interface Tally {
  readonly booksBought: number;
  readonly booksBoughtV1: number;
  readonly booksBoughtV2: number;
  readonly notServed: number;
}

/** What bookbuyer has counted itself: no part of the mesh is asked. */
export async function tallyOf(mesh: RunningMesh): Promise<Tally> {
  return JSON.parse(await mesh.visit(/^bookbuyer\//, '/raw')) as Tally;
}
