import { createHash } from 'node:crypto';
import type { Problem, ResourceRef } from '../problem/problem.ts';
import type { ConfigMap, Container, Workload } from '../provider/files/workload.ts';
import type { ContainerPlan, EnvPlan, PodPlan } from './pod-plan.ts';
import { planProbes } from './plan-probes.ts';
import { planProgram, type Programs } from './plan-program.ts';

export interface PlanContext extends Programs {
  readonly configMaps: readonly ConfigMap[];
  /** Folder of the file that the workload stands in. */
  readonly folder: string;
  readonly sidecar: 'node' | 'envoy';
}

/** What all pods of one workload have in common. */
export interface WorkloadPlan {
  readonly owner: string;
  readonly kind: Workload['kind'];
  readonly replicas: number;
  readonly revision: string;
  readonly problems: readonly Problem[];
  /** Absent: it can't run, as `problems` say. */
  readonly pod?: (ordinal: number) => PodPlan;
}

/** Resolves what a workload's manifest refers to: programs, ConfigMaps, fields. A workload with an error, or with no container, runs nothing. */
export function planWorkload(workload: Workload, context: PlanContext): WorkloadPlan {
  const { kind, namespace, name, replicas } = workload;
  const problems: Problem[] = [];
  const resource: ResourceRef = { kind, namespace, name };
  const base = kind === 'Pod' ? '/spec/containers' : '/spec/template/spec/containers';
  const containers = workload.containers.map((container, i) =>
    planContainer(workload, container, context, (problem) =>
      problems.push({ ...problem, resource, field: `${base}/${i}${problem.field}` }),
    ),
  );
  const inits = planInits(workload, context, (problem) =>
    problems.push({ ...problem, resource, field: `${base.replace('containers', 'initContainers')}${problem.field}` }),
  );
  const owner = `${namespace}/${kind}/${name}`;
  const sidecar = sidecarOf(workload, context.sidecar);
  const { labels, annotations, serviceAccount } = workload;
  const revision = digest({
    labels,
    annotations,
    serviceAccount,
    sidecar,
    containers,
    ...(inits.length > 0 && { inits }),
  });
  const plan = { owner, kind, replicas, revision, problems };
  if (containers.length === 0 || problems.some(({ severity }) => severity === 'error')) return plan;
  return {
    ...plan,
    pod: (ordinal) => {
      const podName = podNameOf(workload, revision, ordinal);
      return {
        namespace,
        name: podName,
        owner,
        labels: kind === 'StatefulSet' ? { ...labels, 'statefulset.kubernetes.io/pod-name': podName } : labels,
        annotations,
        serviceAccount,
        hostname: workload.hostname ?? podName,
        ...subdomainOf(workload),
        restart: kind === 'Job' ? 'OnFailure' : 'Always',
        revision,
        graceMs: 5_000,
        sidecar,
        containers: containers.map((container) => withPodFields(container, { ...workload, podName })),
        ...(inits.length > 0 && { inits: inits.map((init) => withPodFields(init, { ...workload, podName })) }),
      };
    },
  };
}

function podNameOf({ kind, name }: Workload, revision: string, ordinal: number): string {
  if (kind === 'Pod') return name;
  if (kind === 'StatefulSet') return `${name}-${ordinal}`;
  return `${name}-${revision.slice(0, 6)}-${ordinal}`;
}

function subdomainOf({ kind, serviceName, subdomain }: Workload): { subdomain?: string } {
  const value = kind === 'StatefulSet' ? (serviceName ?? subdomain) : subdomain;
  return value === undefined ? {} : { subdomain: value };
}

function sidecarOf({ annotations }: Workload, otherwise: 'node' | 'envoy'): PodPlan['sidecar'] {
  const wanted = annotations['tulle.dev/sidecar'];
  return wanted === 'node' || wanted === 'envoy' || wanted === 'none' ? wanted : otherwise;
}

type Report = (problem: Omit<Problem, 'resource'>) => void;

/**
 * The init containers that can run here. One that prepares volumes or the node would do so to the user's own machine, and
 * one whose program isn't here may not be needed: they are left out, unless the annotation `tulle.dev/init` says "run".
 */
function planInits(workload: Workload, context: PlanContext, report: Report): readonly ContainerPlan[] {
  const wish = workload.annotations['tulle.dev/init'];
  // Those of the workload's own program are not theirs.
  const annotations = Object.fromEntries(
    Object.entries(workload.annotations).filter(
      ([name]) => !['tulle.dev/command', 'tulle.dev/port-env'].includes(name),
    ),
  );
  return (workload.inits ?? []).flatMap((init, i) => {
    const found: Omit<Problem, 'resource'>[] = [];
    const plan = planContainer({ ...workload, annotations }, init, context, (problem) => found.push(problem));
    const missing = found.find(({ severity }) => severity === 'error');
    if (wish === 'run' || (wish !== 'skip' && init.needsContainer === undefined && !missing)) {
      for (const problem of found) report({ ...problem, field: `/${i}${problem.field}` });
      return [plan];
    }
    const why =
      wish === 'skip'
        ? ', as its annotation says'
        : init.needsContainer !== undefined
          ? `: it works with ${init.needsContainer}, which would be those of this machine`
          : `: ${missing?.message}`;
    report({
      field: `/${i}`,
      severity: 'info',
      reason: 'KindIgnored',
      message: `the init container "${init.name}" is not run here${why}`,
      fix: 'do by hand what it prepares, if the workload needs it, or annotate the pod with tulle.dev/init: run',
    });
    return [];
  });
}

function planContainer(workload: Workload, container: Container, context: PlanContext, report: Report): ContainerPlan {
  const { annotations } = workload;
  const cwd = context.workingFolder(container.workingDir, context.folder);
  const program = planProgram(container, annotations['tulle.dev/command'], cwd, context, report);
  const portEnv = annotations['tulle.dev/port-env'];
  return {
    name: container.name,
    program: program.program,
    args: program.args,
    cwd,
    env: planEnv(workload, container, context.configMaps, report),
    ports: container.ports.filter(({ protocol }) => protocol === 'TCP').map(({ name, port }) => ({ name, port })),
    ...planProbes(container),
    ...(portEnv === undefined ? {} : { portEnv }),
  };
}

function planEnv(
  { namespace, labels, annotations, serviceAccount }: Workload,
  { env, envFrom }: Container,
  configMaps: readonly ConfigMap[],
  report: Report,
): readonly EnvPlan[] {
  const find = (name: string): ConfigMap | undefined =>
    configMaps.find((map) => map.namespace === namespace && map.name === name);
  const entries: EnvPlan[] = [];
  const unresolved = (field: string, message: string, fix: string, severity: Problem['severity'] = 'error'): void =>
    report({ field, severity, reason: 'ValueUnresolved', message, fix });

  for (const [i, { prefix, configMapRef, secretRef }] of envFrom.entries()) {
    const reference = configMapRef ?? secretRef;
    const map = configMapRef && find(configMapRef.name);
    for (const [key, value] of Object.entries(map?.data ?? {}))
      entries.push({ name: prefix + key, value: value.replaceAll('$', '$$$$') });
    if (map || !reference || reference.optional) continue;
    const what = configMapRef ? 'ConfigMap' : 'Secret';
    const fix = configMapRef
      ? 'create it, or set "optional: true"'
      : 'Secrets are not read on a laptop: set "optional: true" and give the values in "env"';
    unresolved(`/envFrom/${i}`, `no ${what} "${reference.name}" in namespace "${namespace}"`, fix);
  }
  for (const [i, { name, value, valueFrom }] of env.entries()) {
    const field = `/env/${i}`;
    if (!valueFrom) {
      entries.push({ name, value: value ?? '' });
    } else if (valueFrom.configMapKeyRef) {
      const { name: mapName, key, optional } = valueFrom.configMapKeyRef;
      const found = find(mapName)?.data[key];
      if (found !== undefined) entries.push({ name, value: found.replaceAll('$', '$$$$') });
      else if (!optional)
        unresolved(
          `${field}/valueFrom`,
          `no key "${key}" in ConfigMap "${mapName}" of namespace "${namespace}"`,
          'add it, or set "optional: true"',
        );
    } else if (valueFrom.fieldRef) {
      const planned = planField(name, valueFrom.fieldRef.fieldPath, { namespace, labels, annotations, serviceAccount });
      if (planned) entries.push(planned);
      else
        unresolved(
          `${field}/valueFrom/fieldRef`,
          `the field "${valueFrom.fieldRef.fieldPath}" has no value on a laptop`,
          'give a plain value',
          'info',
        );
    } else if (valueFrom.secretKeyRef) {
      if (!valueFrom.secretKeyRef.optional)
        unresolved(
          `${field}/valueFrom`,
          `Secrets are not read on a laptop`,
          'give a plain value here, or set "optional: true"',
        );
    } else {
      unresolved(
        `${field}/valueFrom`,
        `the value of "${name}" is not known on a laptop and is left out`,
        'give a plain value if the program needs it',
        'info',
      );
    }
  }
  return entries;
}

const podName = '\0pod-name';

function planField(
  name: string,
  path: string,
  {
    namespace,
    labels,
    annotations,
    serviceAccount,
  }: Pick<Workload, 'namespace' | 'labels' | 'annotations' | 'serviceAccount'>,
): EnvPlan | undefined {
  const [, map, key] = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path) ?? [];
  if (key !== undefined) return { name, value: (map === 'labels' ? labels : annotations)[key] ?? '' };
  switch (path) {
    case 'metadata.name':
      return { name, value: podName };
    case 'metadata.namespace':
      return { name, value: namespace };
    case 'metadata.uid':
      return { name, field: 'uid' };
    case 'spec.serviceAccountName':
      return { name, value: serviceAccount };
    case 'spec.nodeName':
      return { name, field: 'nodeName' };
    case 'status.podIP':
    case 'status.podIPs':
      return { name, field: 'podIP' };
    case 'status.hostIP':
    case 'status.hostIPs':
      return { name, field: 'hostIP' };
    default:
      return undefined;
  }
}

function withPodFields(container: ContainerPlan, pod: { readonly podName: string }): ContainerPlan {
  const env = container.env.map((entry) =>
    'value' in entry && entry.value === podName ? { ...entry, value: pod.podName } : entry,
  );
  return { ...container, env: [{ name: 'HOSTNAME', value: pod.podName }, ...env] };
}

function digest(value: object): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}
