import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { MeshReport } from '../dashboard/dashboard.ts';
import type { Flow } from '../observability/flows.ts';
import { parseDocuments } from '../provider/files/yaml-documents.ts';
import { chooseDisplay } from './choose-display.ts';
import { type ClusterAccess, withCluster } from './cluster-access.ts';
import { type AppliedObject, applyObject, inOrder, isApplicable } from './cluster-objects.ts';
import { toPodView } from './cluster-pod-view.ts';
import { isOver, type PodObject } from './cluster-pods.ts';
import { CliError, type CliContext } from './context.ts';
import { type ControllerApi, openControllerApi } from './controller-api.ts';
import { checkDemo, type DemoMesh } from './demo-check.ts';
import { demoLabel, prepareNamespaces, removeNamespaces, toClusterObject } from './demo-namespaces.ts';
import { runProbePod } from './demo-probe.ts';
import { writeSummary } from './demo-summary.ts';
import { parseDuration } from './duration.ts';
import { forwardPage } from './forward-page.ts';
import { pause } from './pause.ts';
import type { DemoFlags } from './program.ts';
import { joinFlows } from './recorded-calls.ts';
import { untilAborted } from './until-aborted.ts';
import { watchMesh } from './watch-mesh.ts';

/** `tulle demo --kubernetes`: the bookstore in a cluster, watched from here. With `--run-for`, 1 unless everything held. */
export async function runClusterDemo(context: CliContext, dir: string | undefined, flags: DemoFlags): Promise<number> {
  if (flags.runFor !== undefined) parseDuration(flags.runFor);
  if (flags.summary !== undefined && flags.runFor === undefined)
    throw new CliError('--summary needs --run-for: 60s is enough', 2);
  refuseLocalFlags(flags);
  const folder = dir === undefined ? join(context.dist, 'demo', 'bookstore') : resolve(context.cwd, dir);
  const objects = readObjects(folder);
  return withCluster(context, flags, async (access) => {
    const api = await openControllerApi(access);
    return runDemo(context, access, api, objects, flags);
  });
}

/** What says how a mesh of this machine runs: the cluster's is installed, and says so itself. */
function refuseLocalFlags(flags: DemoFlags): void {
  const given = [
    ['--image', flags.image.length > 0],
    ['--egress-loopback', flags.egressLoopback.length > 0],
    ['--mode', flags.mode !== undefined],
    ['--path-match', flags.pathMatch !== undefined],
    ['--sampling', flags.sampling !== undefined],
    ['--trust-domain', flags.trustDomain !== undefined],
    ['--egress', flags.egress !== undefined],
    ['--otlp', flags.otlp !== undefined],
    ['--logs', flags.logs === true],
    ['--sidecar', flags.sidecar !== 'node'],
    ['--isolation', flags.isolation !== 'auto'],
  ] as const;
  const names = given.filter(([, is]) => is).map(([name]) => name);
  if (names.length > 0)
    throw new CliError(
      `${names.join(', ')}: for a mesh on this machine; that of a cluster has its settings from its chart`,
      2,
    );
}

function readObjects(folder: string): readonly AppliedObject[] {
  if (!existsSync(folder)) throw new CliError(`${folder}: there is no such directory`, 2);
  const files = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
  const objects = files.flatMap((file) =>
    parseDocuments(readFileSync(join(folder, file), 'utf8')).flatMap(({ value, fault }) => {
      if (fault) throw new CliError(`${join(folder, file)}:${fault.line}:${fault.column}: ${fault.message}`, 2);
      return isApplicable(value) ? [value] : [];
    }),
  );
  if (objects.length === 0) throw new CliError(`${folder}: there is no YAML of Kubernetes objects`, 2);
  return objects;
}

async function runDemo(
  context: CliContext,
  access: ClusterAccess,
  api: ControllerApi,
  objects: readonly AppliedObject[],
  flags: DemoFlags,
): Promise<number> {
  const display = chooseDisplay(context, flags);
  const end = new AbortController();
  let interrupted = false;
  const stopListening = context.onSignal(() => {
    // What is there then stays: it has the demo's label, and the next run takes it over.
    if (interrupted) context.exit(130);
    interrupted = true;
    display.say('ending; once more to end at once');
    end.abort();
  });
  const viewing = new AbortController();
  const namespaces = objects.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => metadata.name);
  let pods: readonly PodObject[] = [];
  try {
    const startedAt = Date.now();
    await prepareNamespaces(access, namespaces, display.say, end.signal);
    const page = await forwardPage(api, flags.port, viewing.signal);
    display.say(`mesh ${access.meshName} in ${access.where}`);
    display.say(`page ${page}`);
    for (const object of inOrder(objects.map((each) => toClusterObject(each, access.meshName, flags.registry))))
      if (!end.signal.aborted) await applyObject(access, object);
    display.say(`the bookstore is applied in namespaces ${namespaces.join(', ')}, which enforce policy`);
    const reports = async (): Promise<readonly MeshReport[]> => api.getEach<MeshReport>('/api/mesh');
    const [first] = await reports();
    const changed = watchMesh(
      {
        picture: () => ({
          id: access.meshName,
          mode: 'enforce',
          isolation: `in ${access.where}`,
          page,
          inputs: namespaces,
          pods: pods.map(toPodView),
          problems: [],
        }),
        async ask() {
          const [all, flows] = await Promise.all([reports(), api.getEach<readonly Flow[]>('/api/flows?since=1m')]);
          const mine = joinFlows(flows).filter(
            ({ source, service }) => isOf(namespaces, source) || isOf(namespaces, service),
          );
          const report = all.find(({ splits }) => splits.length > 0) ?? all[0];
          if (report === undefined) return undefined;
          return { report: ownPart(report, namespaces), flows: mine };
        },
      },
      display,
      viewing.signal,
    );
    const following = followPods(access, namespaces, viewing.signal, (list) => {
      pods = list;
      changed();
    });
    if (flags.runFor !== undefined) {
      const timer = setTimeout(() => end.abort(), parseDuration(flags.runFor));
      end.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
    }
    const mesh = toDemoMesh(access, api, () => pods, first?.id ?? access.meshName, flags.registry);
    const report = flags.runFor === undefined ? undefined : checkDemo(mesh, startedAt, end.signal);
    await untilAborted(end.signal);
    const summary = interrupted ? undefined : await report;
    viewing.abort();
    await following;
    if (summary === undefined) return 0;
    writeSummary(context, summary, flags, display.say);
    return summary.ok ? 0 : 1;
  } finally {
    viewing.abort();
    if (flags.keep === true) display.say(`it stays: kubectl delete namespace -l ${demoLabel}`);
    else await removeNamespaces(access, namespaces, display.say);
    stopListening();
    if ('end' in display) display.end();
  }
}

function isOf(namespaces: readonly string[], name: string): boolean {
  return namespaces.includes(name.split('/')[0] ?? '');
}

/** The rest of the mesh is not the demo's. */
function ownPart(report: MeshReport, namespaces: readonly string[]): MeshReport {
  return {
    ...report,
    splits: report.splits.filter(({ split }) => isOf(namespaces, split)),
    problems: report.problems.filter(({ resource }) => namespaces.includes(resource.namespace)),
  };
}

async function followPods(
  { cluster }: ClusterAccess,
  namespaces: readonly string[],
  signal: AbortSignal,
  onPods: (pods: readonly PodObject[]) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const lists = await Promise.all(
        namespaces.map((namespace) =>
          cluster.request<{ readonly items: readonly PodObject[] }>('GET', `/api/v1/namespaces/${namespace}/pods`),
        ),
      );
      onPods(lists.flatMap(({ items }) => items.filter(({ metadata }) => metadata.labels?.['app'] !== 'tulle-probe')));
    } catch {
      // The next time.
    }
    await pause(700, signal);
  }
}

function toDemoMesh(
  access: ClusterAccess,
  api: ControllerApi,
  pods: () => readonly PodObject[],
  id: string,
  registry: string | undefined,
): DemoMesh {
  return {
    id,
    isolation: 'cluster',
    probesTogether: true,
    now: () => Date.now() + api.clockAhead(),
    missing() {
      const living = pods().filter((pod) => !isOver(pod));
      const waiting = living.map(toPodView).filter(({ status }) => !status.ready);
      if (waiting.length > 0) return `not ready: ${waiting.map(({ plan }) => plan.name).join(', ')}`;
      return living.length >= 6 ? undefined : `${living.length} of 6 pods are there`;
    },
    get: (path, timeoutMs) => api.get(path, timeoutMs),
    getAll: (path, timeoutMs) => api.getEach(path, timeoutMs),
    probe: (namespace, serviceAccount, args) => runProbePod(access, namespace, serviceAccount, args, registry),
  };
}
