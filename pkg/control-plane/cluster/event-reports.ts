import type { Clock } from '../../certs/clock.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Problem } from '../../problem/problem.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { type EventWriter, type EventWriterOptions, runEventWriter } from '../../provider/kubernetes/write-events.ts';
import type { ControlPlane } from '../control-plane.ts';
import { toRefusals } from './proxy-refusals.ts';

export interface EventReportsOptions {
  readonly cluster: Cluster;
  readonly findObject: EventWriterOptions['findObject'];
  /** Name of this replica. */
  readonly instance: string;
  readonly controlPlane: ControlPlane;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Events on the objects that have problems, for whoever looks with kubectl. */
export interface EventReports {
  /** Problems of the mesh as they are now; they are written while this replica leads. */
  problems(problems: readonly Problem[]): void;
  lead(term: AbortSignal): void;
}

/** Milliseconds: a thousand sidecars that answer one change are looked at once. */
const pause = 1_000;

/**
 * Every replica reads the whole mesh, and the leader alone reports what is wrong with it. What a sidecar refuses is known
 * to the replica that it is connected to, which reports it itself.
 */
export function runEventReports(options: EventReportsOptions): EventReports {
  const { controlPlane, signal, clock, ...common } = options;
  const refusals = runEventWriter({ ...common, clock, signal });
  let current: readonly Problem[] = [];
  let leading: EventWriter | undefined;
  let isDue = false;

  const unsubscribe = controlPlane.view.subscribe(() => {
    if (isDue) return;
    isDue = true;
    clock.at(clock.now() + pause, () => {
      isDue = false;
      if (!signal.aborted) refusals.report(toRefusals(controlPlane.servers().flatMap((server) => server.status())));
    });
  });
  signal.addEventListener('abort', unsubscribe, { once: true });

  return {
    problems(problems) {
      current = problems;
      leading?.report(problems);
    },
    lead(term) {
      const writer = runEventWriter({ ...common, clock, signal: term });
      leading = writer;
      term.addEventListener('abort', () => {
        if (leading === writer) leading = undefined;
      });
      writer.report(current);
    },
  };
}
