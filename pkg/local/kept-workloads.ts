import type { Problem } from '../problem/problem.ts';
import type { WorkloadPlan } from './plan-workload.ts';

/** Of these a file, or a document of it, says nothing: what stood there before is not known to be gone. */
const unread: ReadonlySet<string> = new Set<Problem['reason']>([
  'FileUnreadable',
  'FileTooLarge',
  'FileNotText',
  'SyntaxError',
]);

export interface PlacedPlan {
  readonly plan: WorkloadPlan;
  readonly file: string | undefined;
}

export interface KeptWorkloads {
  /** What should run by this read. A workload that, or whose file, can't be read any more goes on as it is. */
  next(placed: readonly PlacedPlan[], problems: readonly Problem[]): readonly WorkloadPlan[];
}

/** A slip in an editor must not end processes: policy that can't be read grants nothing, but a workload is no grant. */
export function createKeptWorkloads(onKept: (owner: string, file: string) => void): KeptWorkloads {
  let known: ReadonlyMap<string, PlacedPlan> = new Map();
  let keptBefore: ReadonlySet<string> = new Set();

  return {
    next(placed, problems) {
      const broken = new Set(problems.filter(({ reason }) => unread.has(reason)).map(({ position }) => position?.file));
      const faulty = new Set(
        problems.filter(({ severity }) => severity === 'error').map(({ resource }) => ownerOf(resource)),
      );
      const current = new Map(placed.map((entry) => [entry.plan.owner, entry]));
      const kept = [...known.values()].filter(
        ({ plan: { owner }, file }) =>
          !current.has(owner) && ((file !== undefined && broken.has(file)) || faulty.has(owner)),
      );
      for (const { plan, file } of kept) if (!keptBefore.has(plan.owner)) onKept(plan.owner, file ?? '');
      keptBefore = new Set(kept.map(({ plan }) => plan.owner));
      known = new Map([...current, ...kept.map((entry) => [entry.plan.owner, entry] as const)]);
      return [...placed.map(({ plan }) => plan), ...kept.map(({ plan }) => asItIs(plan))];
    },
  };
}

function ownerOf({ kind, namespace, name }: Problem['resource']): string {
  return `${namespace}/${kind}/${name}`;
}

/** Without a pod to start there is nothing to roll or to scale, and nothing to end. */
function asItIs({ owner, kind, replicas, revision }: WorkloadPlan): WorkloadPlan {
  return { owner, kind, replicas, revision, problems: [] };
}
