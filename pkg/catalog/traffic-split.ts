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
  const routes = ports.map((port): [number, OutboundRoute] => {
    const weighted = mergeSame(backends).map((backend) => toBackend(split, backend, port, services, report));
    return [
      port,
      {
        ...(matches.kind === 'some' && { match: matches.match }),
        origin,
        backends: weighted,
      },
    ];
  });
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

/**
 * A backend of one port. What can't take traffic is excluded and its share goes to the others; that is an error once it
 * has weight: a canary may be named, at weight 0, before it is created.
 */
function toBackend(
  split: TrafficSplit,
  { service: name, weight, index }: TrafficSplitBackend,
  port: number,
  services: ServicesByName,
  report: Reporter['report'],
): WeightedBackend {
  const { namespace } = split;
  const backend = {
    weight,
    service: name,
    port,
    endpoints: `${namespace}/${name}:${port}`,
  };
  const field = `/spec/backends/${index}/service`;
  const severity = weight > 0 ? 'error' : 'info';
  const effect = weight > 0 ? 'so the other backends take its share' : 'which takes no traffic at weight 0';
  const service = services.get(`${namespace}/${name}`);
  if (service === undefined) {
    const message = `no Service "${name}" in namespace "${namespace}", ${effect}`;
    report(field, {
      severity,
      reason: 'BackendNotFound',
      message,
      fix: 'create it, or correct the name',
    });
    return { ...backend, excluded: 'BackendNotFound' };
  }
  const unsupported = shapeOf(service);
  if (unsupported) {
    const message = `Service "${name}" is ${unsupported} and can't be a backend, ${effect}`;
    report(field, {
      severity,
      reason: 'ServiceUnsupported',
      message,
      fix: 'give it a cluster address',
    });
    return { ...backend, excluded: 'ServiceUnsupported' };
  }
  if (!service.ports.some((candidate) => candidate.port === port && candidate.protocol === 'TCP')) {
    const message = `Service "${name}" lacks port ${port} of the root, ${effect}`;
    report(field, {
      severity,
      reason: 'BackendPortMissing',
      message,
      fix: `add port ${port} to it`,
    });
    return { ...backend, excluded: 'BackendPortMissing' };
  }
  return backend;
}
