import type { InjectionSettings } from './injection-settings.ts';
import { InjectionRefused, ownKeys } from './keys.ts';
import type { Keyed } from './keys.ts';
import type { Container, PodSpec } from './pod.ts';

/** Long enough for every client to hear that the pod is going (DECISIONS E9). */
const defaultSeconds = 3;

/**
 * Lets app containers without a hook of their own serve on for a while after their pod was told to end, since clients
 * learn of it only then. Needs the hook `sleep` of Kubernetes 1.30. Pods that run to completion take no calls.
 */
export function withPreStopSleep(
  containers: readonly Container[],
  spec: PodSpec,
  annotations: Keyed,
  { preStopSleep = defaultSeconds, kubernetesMinor = 30 }: InjectionSettings,
): readonly Container[] {
  const wanted = decodeSeconds(annotations?.[ownKeys.preStopSleep]) ?? preStopSleep;
  // The API server refuses a sleep as long as the whole grace period.
  const seconds = Math.min(wanted, (spec.terminationGracePeriodSeconds ?? 30) - 1);
  if (seconds < 1 || kubernetesMinor < 30 || (spec.restartPolicy ?? 'Always') !== 'Always') return containers;
  return containers.map((container) =>
    container.lifecycle?.preStop
      ? container
      : { ...container, lifecycle: { ...container.lifecycle, preStop: { sleep: { seconds } } } },
  );
}

function decodeSeconds(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,4}$/.test(value)) {
    throw new InjectionRefused(
      `annotation ${ownKeys.preStopSleep} of the pod is "${value}": write whole seconds, 0 for none`,
    );
  }
  return Number(value);
}
