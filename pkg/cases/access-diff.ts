import { type Access, coversRoute, everybody, type Route, routeText, type ServiceAccess } from './access-table.ts';

export interface AccessChange {
  readonly kind: 'gained' | 'lost';
  readonly source: string;
  readonly service: string;
  readonly route: Route;
  /** Of a Service that is split: where it passes now. Absent: everywhere, or nowhere. */
  readonly at?: readonly string[];
  /** Narrower routes that are left of what was lost, or that there were of what was gained. */
  readonly except: readonly string[];
}

type Table = ReadonlyMap<string, ServiceAccess>;

/** Who may call whom now and could not before, and the other way round; as exact as patterns can be compared. */
export function diffAccess(before: Table, after: Table): readonly AccessChange[] {
  const changes: AccessChange[] = [];
  for (const service of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, now] = [before.get(service), after.get(service)];
    const sources = new Set([...(old?.bySource.keys() ?? []), ...(now?.bySource.keys() ?? [])]);
    for (const source of [...sources].sort()) {
      const routes = new Map<string, Route>();
      for (const table of [old, now]) {
        for (const { route } of table?.bySource.get(source) ?? []) routes.set(routeText(route), route);
      }
      for (const [, route] of [...routes].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const [was, is] = [passesAt(old, source, route), passesAt(now, source, route)];
        const [rankBefore, rankAfter] = [rankOf(was, old), rankOf(is, now)];
        if (rankBefore === rankAfter) continue;
        const kind = rankAfter > rankBefore ? 'gained' : 'lost';
        const narrower = allowedTo(kind === 'lost' ? now : old, source).filter((other) =>
          coversRoute(route, other.route),
        );
        const partly = rankAfter === 1;
        changes.push({
          kind,
          source,
          service,
          route,
          ...(partly && { at: [...is].sort() }),
          except: rankBefore === 1 || rankAfter === 1 ? [] : narrower.map((other) => routeText(other.route)),
        });
      }
    }
  }
  return changes;
}

function allowedTo(access: ServiceAccess | undefined, source: string): readonly Access[] {
  const own = access?.bySource.get(source) ?? [];
  return source === everybody ? own : [...own, ...(access?.bySource.get(everybody) ?? [])];
}

function passesAt(access: ServiceAccess | undefined, source: string, route: Route): ReadonlySet<string> {
  const names = allowedTo(access, source)
    .filter((other) => coversRoute(other.route, route))
    .flatMap(({ backends }) => [...backends]);
  return new Set(names);
}

/** 0: nowhere, 1: at some of the backends, 2: everywhere. */
function rankOf(passes: ReadonlySet<string>, access: ServiceAccess | undefined): 0 | 1 | 2 {
  if (passes.size === 0) return 0;
  return [...(access?.backends ?? [])].every((name) => passes.has(name)) ? 2 : 1;
}

/** A route that reads otherwise than before, and lets pass the same. */
export interface Respelling {
  readonly before: string;
  readonly after: string;
  readonly services: readonly string[];
}

/** Routes that are only written in other words: nobody gained or lost by them. */
export function findRespelled(before: Table, after: Table): readonly Respelling[] {
  const found = new Map<string, { before: string; after: string; services: Set<string> }>();
  for (const [service, { bySource }] of before) {
    for (const [source, old] of bySource) {
      const now = after.get(service)?.bySource.get(source) ?? [];
      const texts = new Set(now.map(({ route }) => routeText(route)));
      for (const { route } of old) {
        if (texts.has(routeText(route))) continue;
        const same = now.find((other) => coversRoute(route, other.route) && coversRoute(other.route, route));
        if (same === undefined) continue;
        const pair = { before: routeText(route), after: routeText(same.route) };
        const key = JSON.stringify(pair);
        const known = found.get(key) ?? { ...pair, services: new Set<string>() };
        found.set(key, known);
        known.services.add(service);
      }
    }
  }
  return [...found.values()].map((pair) => ({ ...pair, services: [...pair.services].sort() }));
}
