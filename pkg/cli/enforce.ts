import { type MeshFacts, toMeshFacts } from '../explain/mesh-facts.ts';
import type { Flow } from '../observability/flows.ts';
import type { Call } from '../observability/call.ts';
import { modeKey } from '../provider/objects/mesh-keys.ts';
import { type WhatIf, whatIf } from '../suggest/what-if.ts';
import { type ClusterAccess, withCluster } from './cluster-access.ts';
import type { ClusterFlags } from './cluster-flags.ts';
import { readClusterMesh } from './cluster-input.ts';
import { hasSidecar, isOver, type PodObject } from './cluster-pods.ts';
import { CliError, type CliContext } from './context.ts';
import { openControllerApi } from './controller-api.ts';
import { orTwo, writeJson, writeLines } from './mesh-input.ts';
import { apply, readNamespace } from './namespace.ts';
import { meshOf, stateOf } from './namespace-state.ts';
import { describeSince, joinFlows, type Recorded, recordedBy, toRecordedSince } from './recorded-calls.ts';
import { paintFor } from './table.ts';
import { callsText, describeChanges } from './what-if-text.ts';

export interface EnforceFlags extends ClusterFlags {
  readonly since: string;
  readonly yes?: boolean;
  readonly output: 'text' | 'json';
}

/** What enforcing would change in a namespace, by what its sidecars reported. */
interface Preview {
  readonly recorded: Recorded;
  readonly replay: WhatIf;
  /** Shadow denials that were counted but whose calls are not kept one by one. */
  readonly counted: readonly Flow[];
  /** Pods without a sidecar: nothing is enforced at them. */
  readonly open: readonly string[];
}

/** `tulle enforce NS`: 0 it is enforced, 1 not, since nobody said yes, 2 could not do it. */
export function runEnforce(context: CliContext, name: string, flags: EnforceFlags): Promise<number> {
  return orTwo(() =>
    withCluster(context, flags, async (access) => {
      const namespace = await readNamespace(access, name);
      if (meshOf(namespace) !== access.meshName)
        throw new CliError(`${name} is not in mesh ${access.meshName}: tulle namespace add ${name}`, 2);
      const { mode } = stateOf(namespace);
      if (mode === 'enforce') {
        if (flags.output === 'json') writeJson(context, { namespace: name, mode, changed: false });
        else writeLines(context, [`${name} is enforced already`]);
        return 0;
      }
      const preview = await previewOf(context, access, name, flags.since);
      const agreed = flags.yes === true || (await ask(context, name, preview, flags));
      if (agreed) await apply(access, namespace, { annotations: { [modeKey]: 'enforce' } });
      report(context, name, preview, agreed, flags);
      return agreed ? 0 : 1;
    }),
  );
}

async function previewOf(context: CliContext, access: ClusterAccess, name: string, since: string): Promise<Preview> {
  const api = await openControllerApi(access);
  const [recorded, flows, { facts }, pods] = await Promise.all([
    recordedBy(api, since),
    api.getEach<readonly Flow[]>(`/api/flows?since=${since}`, 60_000),
    readClusterMesh(context, access, {}),
    access.cluster.request<{ readonly items: readonly PodObject[] }>('GET', `/api/v1/namespaces/${name}/pods`),
  ]);
  const mine = recorded.calls.filter((call) => isInto(name, call));
  const replay = whatIf(mine, facts, enforced(facts, name));
  const told = new Set(replay.denied.map(({ source, service }) => `${source} ${service}`));
  return {
    recorded,
    replay,
    counted: joinFlows(flows)
      .filter((flow) => flow.verdict === 'would-deny' && isInto(name, flow))
      .filter(({ source, service }) => !told.has(`${source} ${service}`)),
    open: pods.items.filter((pod) => !isOver(pod) && !hasSidecar(pod)).map(({ metadata }) => metadata.name),
  };
}

/** The namespace of the workload that was called decides (DECISIONS S2). */
function isInto(namespace: string, { destination, service }: Pick<Call, 'destination' | 'service'>): boolean {
  return (destination === '' ? service : destination).startsWith(`${namespace}/`);
}

function enforced({ snapshot, locate }: MeshFacts, name: string): MeshFacts {
  const namespaces = snapshot.namespaces.map((each) =>
    each.name === name ? { ...each, mode: 'enforce' as const } : each,
  );
  return toMeshFacts({ ...snapshot, namespaces }, locate);
}

async function ask(
  context: CliContext,
  name: string,
  preview: Preview,
  { since, output }: EnforceFlags,
): Promise<boolean> {
  if (context.ask === undefined || output === 'json') return false;
  writeLines(context, describe(context, name, preview, since));
  const answer = await context.ask(`enforce policy in ${name}? [y/N] `);
  return /^y(es)?$/i.test(answer.trim());
}

function report(
  context: CliContext,
  name: string,
  preview: Preview,
  agreed: boolean,
  { yes, since, output }: EnforceFlags,
): void {
  const { recorded, replay, counted, open } = preview;
  if (output === 'json') {
    writeJson(context, {
      namespace: name,
      changed: agreed,
      replayed: replay.replayed,
      denied: replay.denied,
      unknown: Object.fromEntries(replay.unknown),
      counted,
      withoutSidecar: open,
      ...toRecordedSince(recorded),
    });
    if (!agreed) context.stderr.write('tulle: nothing was changed: --yes changes it\n');
    return;
  }
  const asked = yes !== true && context.ask !== undefined;
  if (!asked) writeLines(context, describe(context, name, preview, since));
  if (agreed) {
    writeLines(context, [
      `${name} is enforced now: what no TrafficTarget allows is denied`,
      `back to what the mesh has: kubectl annotate namespace ${name} ${modeKey}-`,
    ]);
  } else {
    const more = asked ? '' : ' (--yes does it without asking)';
    writeLines(context, [
      `nothing was changed${more}`,
      `to see in traffic what would be denied: kubectl annotate namespace ${name} ${modeKey}=shadow --overwrite`,
    ]);
  }
}

function describe(
  context: CliContext,
  name: string,
  { recorded, replay, counted, open }: Preview,
  since: string,
): readonly string[] {
  const paint = paintFor(context);
  const { replayed, denied, unknown } = replay;
  const seen =
    replayed === 0
      ? [`no call to ${name} was recorded in the last ${since}: there is nothing to judge by`]
      : [
          `${callsText(replayed)} to ${name} in the last ${since}, by the policy that is there now:`,
          ...describeChanges('would be denied', denied, paint.bad, paint),
          ...[...unknown].map(([why, count]) => `not judged: ${callsText(count)}: ${why}`),
        ];
  return [
    ...seen,
    ...describeSince(recorded).map(paint.strong),
    ...counted.map(
      ({ source, service, requests, reason }) =>
        `${paint.bad('would be denied')}, by the count of sidecars: ${callsText(requests)} ${source || '(no sidecar)'} -> ${service}: ${reason}`,
    ),
    ...(denied.length > 0 ? ['  what allows them: tulle suggest, with the same --context'] : []),
    ...(open.length > 0
      ? [`without a sidecar, so nothing is enforced at them until they are restarted: ${open.join(', ')}`]
      : []),
    '',
  ];
}
