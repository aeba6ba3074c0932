import type { HttpMatch } from '../policy/match.ts';
import type { HTTPRouteGroup, HTTPRouteGroupMatch } from '../smi/http-route-group/http-route-group.ts';
import type { MeshConfig } from './snapshot.ts';

export type PathMatch = MeshConfig['pathMatch'];

/** Turns matches of HTTPRouteGroups to conditions of policy; the same match gives the same object. */
export type ToHttpMatch = (group: HTTPRouteGroup, match: HTTPRouteGroupMatch, pathMatch: PathMatch) => HttpMatch;

export function createToHttpMatch(): ToHttpMatch {
  const known = {
    full: new WeakMap<object, HttpMatch>(),
    start: new WeakMap<object, HttpMatch>(),
  };
  return (group, match, pathMatch) => {
    let made = known[pathMatch].get(match);
    if (made === undefined) {
      made = toHttpMatch(group, match, pathMatch);
      known[pathMatch].set(match, made);
    }
    return made;
  };
}

function toHttpMatch(
  { kind, namespace, name }: HTTPRouteGroup,
  { name: matchName, pathRegex, methods, headers }: HTTPRouteGroupMatch,
  pathMatch: PathMatch,
): HttpMatch {
  return {
    name: matchName,
    origin: { kind, namespace, name },
    // `start`: anchored at the beginning, the end is open (DECISIONS S5).
    ...(pathRegex !== undefined && {
      path: pathMatch === 'full' ? pathRegex : `(?:${pathRegex}).*`,
    }),
    ...(methods !== undefined && { methods }),
    ...(headers !== undefined && { headers }),
  };
}
