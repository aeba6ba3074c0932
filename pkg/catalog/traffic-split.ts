import type { HttpMatch } from '../policy/match.ts';
import type { OutboundRoute, ServicePortKey, WeightedBackend } from '../policy/outbound.ts';
import type { Problem } from '../problem/problem.ts';
import { rootServiceOf } from '../smi/traffic-split/root-service.ts';
import type { TrafficSplit, TrafficSplitBackend } from '../smi/traffic-split/traffic-split.ts';
import type { PathMatch, ToHttpMatch } from './http-match.ts';
import { createMemo } from './memo.ts';
import { compareAge } from './order.ts';
import { createReporter, type Reporter } from './report.ts';
import type { Service } from './snapshot.ts';
import type { SplitObjects } from './smi-objects.ts';

/** What one TrafficSplit makes of the ports of its root. */
export interface PlannedSplit {
  readonly split: TrafficSplit;
  /** By Service port of the root. A route with `match` leaves the rest to the root's own endpoints. */
  readonly routes: ReadonlyMap<number, OutboundRoute>;
  readonly problems: readonly Problem[];
}

export interface SplitPlan {
  /** By `namespace/name` of the root Service. */
  readonly byRoot: ReadonlyMap<string, PlannedSplit>;
  /** By port of the root. */
  readonly routes: ReadonlyMap<ServicePortKey, OutboundRoute>;
  readonly problems: readonly Problem[];
}

export type ServicesByName = ReadonlyMap<string, Service>;

/** Plans all splits; one whose root, backends and matches did not change is not planned again. */
export function createSplitPlan(
  toHttpMatch: ToHttpMatch,
): (smi: SplitObjects, services: ServicesByName, pathMatch: PathMatch) => SplitPlan {
  const memo = createMemo<string, PlannedSplit>();
  return ({ splits, groups }, services, pathMatch) => {
    const problems: Problem[] = [];
    const byRoot = new Map<string, PlannedSplit>();
    const byPort = new Map<ServicePortKey, OutboundRoute>();
    const winners = new Map<string, TrafficSplit>();
    for (const split of [...splits].sort(compareAge)) {
      const root = rootServiceOf(split);
      if ('problem' in root) {
        problems.push(root.problem);
        continue;
      }
      const id = `${split.namespace}/${root.name}`;
      const winner = winners.get(id);
      if (winner) {
        problems.push(conflict(split, winner, root.name));
        continue;
      }
      winners.set(id, split);
      const backends = split.backends.map(({ service }) => services.get(`${split.namespace}/${service}`));
      const used = split.matches?.map(({ name }) => groups.get(`${split.namespace}/${name}`)) ?? [];
      const inputs = [split, root.name, services.get(id), pathMatch, ...backends, ...used];
      const planned = memo.get(`${split.namespace}/${split.name}`, inputs, () => {
        const reporter = createReporter(split);
        const matches = toMatches(split, groups, pathMatch, toHttpMatch, reporter);
        const routes = toRoutes(split, root.name, services, matches, reporter);
        return { split, routes, problems: reporter.problems };
      });
      problems.push(...planned.problems);
      if (planned.routes.size > 0) byRoot.set(id, planned);
      for (const [port, route] of planned.routes) byPort.set(`${id}:${port}`, route);
    }
    memo.sweep();
    return { byRoot, routes: byPort, problems };
  };
}

function conflict(split: TrafficSplit, winner: TrafficSplit, root: string): Problem {
  const reporter = createReporter(split);
  const older = split.creationTimestamp !== winner.creationTimestamp;
  reporter.report('/spec/service', {
    severity: 'error',
    reason: 'SplitConflict',
    message: `TrafficSplit "${winner.name}" already splits Service "${root}", and ${older ? 'is older' : 'comes first by name'}, so this one is not in force`,
    fix: 'merge the two, or delete one',
  });
  return reporter.problems[0] as Problem;
}

type Matches = { readonly kind: 'all' } | { readonly kind: 'some'; readonly match: readonly HttpMatch[] };

/** The requests that are split: all, or those that one of the groups matches. Other requests go to the root (DECISIONS S9). */
function toMatches(
  { matches, namespace }: TrafficSplit,
  groups: SplitObjects['groups'],
  pathMatch: PathMatch,
  toHttpMatch: ToHttpMatch,
  { report }: Reporter,
): Matches {
  if (matches === undefined) return { kind: 'all' };
  const match = matches.flatMap((reference, i): readonly HttpMatch[] => {
    const { kind, name } = reference;
    if ('broken' in reference && reference.broken === true) return [];
    const group = kind === 'HTTPRouteGroup' ? groups.get(`${namespace}/${name}`) : undefined;
    if (kind !== 'HTTPRouteGroup') {
      report(`/spec/matches/${i}/kind`, {
        severity: 'error',
        reason: 'KindUnsupported',
        message: `a split matches by HTTPRouteGroup, not by "${kind}", so this matches no request`,
        fix: 'name an HTTPRouteGroup',
      });
    } else if (group === undefined) {
      report(`/spec/matches/${i}/name`, {
        severity: 'error',
        reason: 'RouteNotFound',
        message: `no HTTPRouteGroup "${name}" in namespace "${namespace}", so this matches no request`,
        fix: 'create it, or correct the name',
      });
    }
    return group?.matches.map((each) => toHttpMatch(group, each, pathMatch)) ?? [];
  });
  return { kind: 'some', match };
}

function toRoutes(
  split: TrafficSplit,
  rootName: string,
  services: ServicesByName,
  matches: Matches,
  { report }: Reporter,
): ReadonlyMap<number, OutboundRoute> {
  const nothing = new Map<number, OutboundRoute>();
  const { namespace, name, kind, backends } = split;
  const root = services.get(`${namespace}/${rootName}`);
  if (root === undefined) {
    report('/spec/service', {
      severity: 'error',
      reason: 'RootNotFound',
      message: `no Service "${rootName}" in namespace "${namespace}", so nothing is split`,
      fix: 'create it, or correct the name',
    });
    return nothing;
  }
  const unsupported = shapeOf(root);
  if (unsupported) {
    report('/spec/service', {
      severity: 'error',
      reason: 'ServiceUnsupported',
      message: `Service "${rootName}" is ${unsupported}, and clients reach it past any split`,
      fix: 'give it a cluster address',
    });
    return nothing;
  }
  if (backends.length === 0) {
    report('/spec/backends', {
      severity: 'error',
      reason: 'BackendsEmpty',
      message: `no backend is named, so Service "${rootName}" serves all traffic itself`,
      fix: 'name the Services that share the traffic',
    });
    return nothing;
  }
  if (backends.every(({ weight }) => weight === 0)) {
    report('/spec/backends', {
      severity: 'warning',
      reason: 'WeightsAllZero',
      message: 'all weights are 0, so every request that is split is answered with 503',
      fix: 'give one backend a weight',
    });
  }
  if (matches.kind === 'some' && matches.match.length === 0) return nothing;
  const origin = { kind, namespace, name };
  const ports = root.ports.filter(({ protocol }) => protocol === 'TCP').map(({ port }) => port);
  const merged = mergeSame(backends);
  const routes = ports.map((port): [number, OutboundRoute] => [
    port,
    {
      ...(matches.kind === 'some' && { match: matches.match }),
      origin,
      backends: merged.map((backend) => toBackend(namespace, backend, port, services)),
    },
  ]);
  reportExcluded(merged, routes, namespace, services, report);
  return new Map(routes);
}

/** Headless and ExternalName Services have no address that a client's sidecar could split. */
function shapeOf(service: Service): string | undefined {
  if (service.externalName !== undefined) return 'an ExternalName';
  return service.headless ? 'headless' : undefined;
}

/** A backend that stands there twice has the sum of its weights, in the place of the first. */
function mergeSame(backends: readonly TrafficSplitBackend[]): readonly TrafficSplitBackend[] {
  const byService = new Map<string, TrafficSplitBackend>();
  for (const backend of backends) {
    const first = byService.get(backend.service);
    byService.set(backend.service, first ? { ...first, weight: first.weight + backend.weight } : backend);
  }
  return [...byService.values()];
}

/** A backend of one port. What can't take traffic is excluded and its share goes to the others. */
function toBackend(
  namespace: string,
  { service: name, weight }: TrafficSplitBackend,
  port: number,
  services: ServicesByName,
): WeightedBackend {
  const backend = { weight, service: name, port, endpoints: `${namespace}/${name}:${port}` };
  const service = services.get(`${namespace}/${name}`);
  if (service === undefined) return { ...backend, excluded: 'BackendNotFound' };
  if (shapeOf(service) !== undefined) return { ...backend, excluded: 'ServiceUnsupported' };
  const isServed = service.ports.some((candidate) => candidate.port === port && candidate.protocol === 'TCP');
  return isServed ? backend : { ...backend, excluded: 'BackendPortMissing' };
}

/**
 * Says of each backend that can't take traffic what becomes of its share, once for all ports where it is the same. It is an
 * error once it has weight: a canary may be named, at weight 0, before it is created.
 */
function reportExcluded(
  backends: readonly TrafficSplitBackend[],
  routes: readonly (readonly [number, OutboundRoute])[],
  namespace: string,
  services: ServicesByName,
  report: Reporter['report'],
): void {
  const empty = new Set(routes.filter(([, route]) => !route.backends.some(takes)).map(([port]) => port));
  for (const [i, { service: name, weight, index }] of backends.entries()) {
    const severity = weight > 0 ? 'error' : 'info';
    const tell = (reason: Problem['reason'], what: string, ports: readonly number[], fix: string): void =>
      report(`/spec/backends/${index}/service`, {
        severity,
        reason,
        message: `${what}, ${weight > 0 ? shareOf(ports, empty) : 'which takes no traffic at weight 0'}`,
        fix,
      });
    const ports = routes.map(([port]) => port);
    const service = services.get(`${namespace}/${name}`);
    const shape = service && shapeOf(service);
    if (routes.length === 0) continue;
    if (service === undefined) {
      const what = `no Service "${name}" in namespace "${namespace}"`;
      tell('BackendNotFound', what, ports, 'create it, or correct the name');
    } else if (shape !== undefined) {
      const what = `Service "${name}" is ${shape} and can't be a backend`;
      tell('ServiceUnsupported', what, ports, 'give it a cluster address');
    } else {
      for (const [port, route] of routes) {
        if (route.backends[i]?.excluded === undefined) continue;
        tell(
          'BackendPortMissing',
          `Service "${name}" lacks port ${port} of the root`,
          [port],
          `add port ${port} to it`,
        );
      }
    }
  }
}

function takes({ weight, excluded }: WeightedBackend): boolean {
  return weight > 0 && excluded === undefined;
}

/** What becomes of a share on these ports, of which some have no backend that takes traffic. */
function shareOf(ports: readonly number[], empty: ReadonlySet<number>): string {
  const lost = ports.filter((port) => empty.has(port));
  if (lost.length === 0) return 'so the other backends take its share';
  const refused = 'every request that is split is answered with 503';
  if (lost.length === ports.length) return `and no other backend takes traffic, so ${refused}`;
  return `so the other backends take its share, but on port ${lost.join(', ')} there is none: ${refused} there`;
}
