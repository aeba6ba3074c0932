import { type ServiceIdentity, toServiceAccount } from '../policy/identity.ts';
import type { ServicePortKey } from '../policy/outbound.ts';
import type { Problem } from '../problem/problem.ts';
import type { TargetGrant } from './access-rule.ts';
import type { Grants } from './grants.ts';
import type { PortUse, PortUses } from './inbound.ts';
import { createMemo } from './memo.ts';
import { compareText } from './order.ts';
import type { Permission } from './permission.ts';
import { createReporter } from './report.ts';
import type { AccessObjects } from './smi-objects.ts';
import type { Service } from './snapshot.ts';
import type { PlannedSplit, SplitPlan } from './traffic-split.ts';
import type { Workload, Workloads } from './workloads.ts';

/** What is in force and likely not what was meant, about TrafficTargets: ports of Services, accounts that nobody uses. */
export function createTargetChecks(): (
  grants: Grants,
  smi: AccessObjects,
  workloads: Workloads,
  uses: PortUses,
) => readonly Problem[] {
  const memo = createMemo<TargetGrant, readonly Problem[]>();
  return ({ all }, smi, workloads, uses) => {
    const problems: Problem[] = [];
    for (const grant of all) {
      const found = memo.get(grant, checkInputs(grant, smi, workloads, uses), () => {
        const opened = openedBy(grant, workloads);
        return [...unusedAccount(grant, opened, workloads), ...servicePortsMeant(grant, smi, opened, uses)];
      });
      if (found.length > 0) problems.push(...found);
    }
    memo.sweep();
    return distinct(problems);
  };
}

/** All that the checks of a target look at. Most name no port, and open somebody: what pods do is nothing to them. */
function checkInputs(
  grant: TargetGrant,
  { tcpRoutes }: AccessObjects,
  workloads: Workloads,
  uses: PortUses,
): readonly unknown[] {
  const { target, identities, selectors } = grant;
  const { namespace, rules, destination } = target;
  const lists = identities.map((identity) => workloads.byIdentity.get(identity));
  for (const selector of selectors) lists.push(workloads.select(namespace, selector));
  const inputs: unknown[] = lists;
  if (lists.every((list) => list === undefined || list.length === 0)) inputs.push(workloads.inNamespace(namespace));
  if (destination.port === undefined && !rules.some(({ kind }) => kind === 'TCPRoute')) return inputs;
  for (const { name } of rules) inputs.push(tcpRoutes.get(`${namespace}/${name}`));
  for (const workload of openedBy(grant, workloads)) inputs.push(uses.get(workload));
  return inputs;
}

/** Services that lead out of the mesh: nothing of policy holds for them, and whoever counts on it should know. */
export function externalNames(services: readonly Service[]): readonly Problem[] {
  return services.flatMap(({ namespace, name, externalName }) =>
    externalName === undefined
      ? []
      : [
          {
            resource: { apiVersion: 'v1', kind: 'Service', namespace, name },
            field: '/spec/externalName',
            severity: 'info',
            reason: 'ServiceUnsupported',
            message: `an ExternalName leads out of the mesh, so its name is not served and no policy holds for it`,
            fix: `call "${externalName}" itself`,
          },
        ],
  );
}

function openedBy({ target, identities, selectors }: TargetGrant, workloads: Workloads): readonly Workload[] {
  const named = identities.flatMap((identity) => workloads.byIdentity.get(identity) ?? []);
  const selected = selectors.flatMap((selector) => workloads.select(target.namespace, selector));
  return [...named, ...selected].filter(({ pod }) => pod.namespace === target.namespace);
}

function unusedAccount(
  { target, identities }: TargetGrant,
  opened: readonly Workload[],
  workloads: Workloads,
): readonly Problem[] {
  const { destination, namespace } = target;
  const judged = destination.kind === 'ServiceAccount' && identities.length > 0 && opened.length === 0;
  if (!judged || workloads.inNamespace(namespace).length === 0) return [];
  const reporter = createReporter(target);
  const accounts = [...new Set(workloads.inNamespace(namespace).map(({ pod }) => pod.serviceAccount))].sort(
    compareText,
  );
  reporter.report('/spec/destination/name', {
    severity: 'info',
    reason: 'ServiceAccountUnused',
    message: `no pod in namespace "${namespace}" runs as ServiceAccount "${destination.name}", so nothing is opened yet`,
    fix: `correct the name if one of ${accounts.slice(0, 5).join(', ')} is meant`,
  });
  return reporter.problems;
}

/** A number that is a port of the Service and none of the workload (DECISIONS S7). */
function servicePortsMeant(
  { target }: TargetGrant,
  smi: AccessObjects,
  opened: readonly Workload[],
  uses: PortUses,
): readonly Problem[] {
  const own = opened.flatMap((workload) => uses.get(workload) ?? []);
  const known = new Set([...own.map(({ port }) => port), ...opened.flatMap(({ pod }) => pod.ports.map((p) => p.port))]);
  const meant = (port: number): PortUse | undefined =>
    known.has(port) ? undefined : own.find(({ backing }) => backing.port === port);
  const advice = (port: number, { port: workloadPort, backing: { service } }: PortUse): Advice => ({
    severity: 'warning',
    reason: 'ServicePortMeant',
    message: `${port} is a port of Service "${service.name}"; its workload listens on ${workloadPort}, and ports here are the workload's`,
    fix: `write ${workloadPort}`,
  });
  const problems = target.rules.flatMap((rule) => {
    const route = rule.kind === 'TCPRoute' ? smi.tcpRoutes.get(`${target.namespace}/${rule.name}`) : undefined;
    if (route === undefined) return [];
    const reporter = createReporter(route);
    for (const [i, port] of (route.ports ?? []).entries()) {
      const use = meant(port);
      if (use) reporter.report(`/spec/matches/ports/${i}`, advice(port, use));
    }
    return reporter.problems;
  });
  const { port } = target.destination;
  const use = port === undefined ? undefined : meant(port);
  if (port === undefined || use === undefined) return problems;
  const reporter = createReporter(target);
  reporter.report('/spec/destination/port', advice(port, use));
  return [...problems, ...reporter.problems];
}

type Advice = Omit<Problem, 'resource' | 'field' | 'position'>;

/** One route may serve several targets: what is said of it is said once. */
function distinct(problems: readonly Problem[]): readonly Problem[] {
  const byPlace = new Map(
    problems.map((problem) => {
      const { resource, field, reason } = problem;
      return [[resource.kind, resource.namespace, resource.name, field, reason].join(' '), problem];
    }),
  );
  return [...byPlace.values()];
}

/** Shares of splits that a client of the root may not reach: they are answered with 403, not moved (DECISIONS S10). */
export function createSplitChecks(): (
  plan: SplitPlan,
  permissions: ReadonlyMap<ServicePortKey, Permission>,
) => readonly Problem[] {
  const memo = createMemo<PlannedSplit, readonly Problem[]>();
  return ({ byRoot }, permissions) => {
    const problems = [...byRoot.values()].flatMap((planned) => {
      const backends = [...planned.routes.values()].flatMap((route) => route.backends);
      const inputs = backends.map(({ endpoints }) => permissions.get(endpoints));
      return memo.get(planned, inputs, () => refusedShares(planned, permissions));
    });
    memo.sweep();
    return problems;
  };
}

function refusedShares(
  { split, routes }: PlannedSplit,
  permissions: ReadonlyMap<ServicePortKey, Permission>,
): readonly Problem[] {
  const reporter = createReporter(split);
  for (const [i, { service, weight }] of split.backends.entries()) {
    if (split.backends.findIndex((other) => other.service === service) !== i) continue;
    const refused = new Set<ServiceIdentity>();
    for (const { backends } of routes.values()) {
      const sharing = backends.filter((backend) => backend.excluded === undefined && backend.weight > 0);
      const own = sharing.find((backend) => backend.service === service);
      const permission = own && permissions.get(own.endpoints);
      if (permission === undefined || permission.accounts.length === 0 || permission.everyone !== undefined) continue;
      for (const other of sharing) {
        for (const client of permissions.get(other.endpoints)?.granted ?? []) {
          if (!permission.granted.has(client)) refused.add(client);
        }
      }
    }
    if (refused.size === 0) continue;
    const account = toServiceAccount([...(permissionOf(split.namespace, service, routes, permissions) ?? [])][0] ?? '');
    reporter.report(`/spec/backends/${split.backends[i]?.index ?? i}/service`, {
      severity: 'warning',
      reason: 'BackendNotAllowed',
      message: `${nameAll(refused)} may call the other backends and not "${service}": its share (weight ${weight}) is answered with 403`,
      fix: `add a TrafficTarget for ServiceAccount "${account?.name ?? service}" with this source`,
    });
  }
  return reporter.problems;
}

function permissionOf(
  namespace: string,
  service: string,
  routes: PlannedSplit['routes'],
  permissions: ReadonlyMap<ServicePortKey, Permission>,
): readonly ServiceIdentity[] | undefined {
  for (const port of routes.keys()) {
    const accounts = permissions.get(`${namespace}/${service}:${port}`)?.accounts;
    if (accounts && accounts.length > 0) return accounts;
  }
  return undefined;
}

function nameAll(clients: ReadonlySet<ServiceIdentity>): string {
  const names = [...clients].sort(compareText).map((client) => {
    const account = toServiceAccount(client);
    return account ? `${account.namespace}/${account.name}` : client;
  });
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return `${names.slice(0, 3).join(', ')}${more}`;
}
