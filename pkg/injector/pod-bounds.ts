import { InjectionRefused } from './keys.ts';
import { allContainers, type Container, type Handler, type Pod } from './pod.ts';

/** Far more than any pod has. Anybody who reaches the webhook may ask, with a pod that nobody would write. */
const maxContainers = 200;
const maxProbes = 600;
const longestPath = 2048;
/** The API server takes 256 KiB of annotations, keys included. */
const maxAnnotations = 10_000;
/** Linux starts no program with a longer argument (MAX_ARG_STRLEN of execve(2), the end of the text included). */
const maxArgument = 128 * 1024 - 1;

/** Refuses, before anything is made of it, a pod that would cost more than any that is meant to run. */
export function refuseTooMuch({ metadata, spec = {} }: Pod): void {
  const { initContainers = [], containers = [] } = spec;
  const count = initContainers.length + containers.length;
  if (count > maxContainers) {
    throw new InjectionRefused(
      `the pod has ${count} containers; a pod with a sidecar may have ${maxContainers}: make several pods of it`,
    );
  }
  const probes = allContainers(spec).flatMap(toProbes);
  if (probes.length > maxProbes) {
    throw new InjectionRefused(
      `the containers of the pod have ${probes.length} probes and hooks; a pod with a sidecar may have ${maxProbes}: make several pods of it`,
    );
  }
  const long = probes.find(({ httpGet }) => (httpGet?.path?.length ?? 0) > longestPath);
  if (long) {
    throw new InjectionRefused(
      `a probe or hook of the pod asks a path of ${long.httpGet?.path?.length} characters; ${longestPath} are allowed`,
    );
  }
  const annotations = Object.keys(metadata?.annotations ?? {}).length;
  if (annotations > maxAnnotations) {
    throw new InjectionRefused(`the pod has ${annotations} annotations; ${maxAnnotations} are allowed`);
  }
}

function toProbes({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container): readonly Handler[] {
  const all = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop];
  return all.flatMap((handler) => (handler && !handler['exec'] ? [handler] : []));
}

/** The sidecar is given its bootstrap as an argument: one that is too long would let the pod never start. */
export function refuseLongArgument(bootstrap: string): void {
  const length = Buffer.byteLength(bootstrap);
  if (length <= maxArgument) return;
  throw new InjectionRefused(
    `with what the probes and hooks of the pod ask, the configuration of its sidecar has ${length} bytes, and ${maxArgument} are the most that Linux starts a program with: let the probes ask fewer ports and paths, or set the annotation openservicemesh.io/sidecar-injection: disabled on the pod`,
  );
}
