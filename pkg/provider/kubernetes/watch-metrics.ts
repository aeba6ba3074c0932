import type { Metrics } from '../../observability/metrics.ts';
import type { ReflectorStatus } from './reflected.ts';

/** Declares how well a cluster is followed; values are taken when somebody asks for them. */
export function declareWatchMetrics(
  metrics: Metrics,
  status: () => readonly ReflectorStatus[],
  now: () => number,
): void {
  const labels = ['resource'];
  const objects = metrics.gauge('tulle_watch_objects', 'Objects of the cluster that are held', labels);
  const synced = metrics.gauge('tulle_watch_synced', '1: all objects of the kind were read', labels);
  const age = metrics.gauge('tulle_watch_last_event_age_seconds', 'Since the API server was heard of', labels);
  const help = 'Watches and lists that ended otherwise than planned';
  const failures = metrics.counter('tulle_watch_restarts_total', help, ['resource', 'reason']);
  const counted = new Map<string, number>();
  metrics.onCollect(() => {
    for (const each of status()) {
      const { resource, heardAt } = each;
      objects.set(each.objects, { resource });
      synced.set(each.synced ? 1 : 0, { resource });
      if (heardAt > 0) age.set((now() - heardAt) / 1000, { resource });
      for (const [reason, count] of each.failures) {
        const key = `${resource} ${reason}`;
        failures.inc({ resource, reason }, count - (counted.get(key) ?? 0));
        counted.set(key, count);
      }
    }
  });
}
