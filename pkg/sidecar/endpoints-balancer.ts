import type { Endpoint, EndpointSet } from '../policy/endpoints.ts';

/** An endpoint that takes one request or connection. Each lease ends with exactly one `done`. */
export interface Lease {
  readonly endpoint: Endpoint;
  readonly key: string;
  /** The connection could not be made: the endpoint is left out for a while. */
  readonly failed: () => void;
  /** It answered: whatever was held against it is forgotten. */
  readonly succeeded: () => void;
  readonly done: () => void;
}

export interface Balancer {
  /** The ready endpoint with the least requests in flight, in turn among equals; none that was tried already. */
  pick(set: EndpointSet, tried?: ReadonlySet<string>): Lease | undefined;
  /** Forgets endpoints that are gone. */
  retain(keys: ReadonlySet<string>): void;
  readonly ejected: number;
}

interface Health {
  active: number;
  failures: number;
  ejectedUntil: number;
}

const firstEjection = 500;
const longestEjection = 30_000;

/** Endpoints of one pod with another identity, or of another pod at the same address, share nothing. */
export function toEndpointKey({ address, identity, meshed }: Endpoint): string {
  const where = address.kind === 'pipe' ? address.path : `${address.ip}:${address.port}`;
  return `${where} ${meshed ? identity : 'plaintext'}`;
}

/**
 * Least request over ready endpoints with passive ejection: an endpoint that can't be connected to is left out
 * for 0.5 s, doubling up to 30 s. When all are left out, all are tried: an ejection never makes an outage.
 */
export function createBalancer(now: () => number): Balancer {
  const healths = new Map<string, Health>();
  const cursors = new WeakMap<EndpointSet, number>();
  const keys = new WeakMap<Endpoint, string>();

  function keyOf(endpoint: Endpoint): string {
    let key = keys.get(endpoint);
    if (key === undefined) keys.set(endpoint, (key = toEndpointKey(endpoint)));
    return key;
  }

  function healthOf(key: string): Health {
    let health = healths.get(key);
    if (!health) healths.set(key, (health = { active: 0, failures: 0, ejectedUntil: 0 }));
    return health;
  }

  function choose(
    set: EndpointSet,
    tried: ReadonlySet<string> | undefined,
    withEjected: boolean,
  ): Endpoint | undefined {
    const { endpoints } = set;
    const start = cursors.get(set) ?? 0;
    const time = now();
    let best: Endpoint | undefined;
    let bestAt = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < endpoints.length; i++) {
      const at = (start + i) % endpoints.length;
      const endpoint = endpoints[at] as Endpoint;
      if (!endpoint.ready) continue;
      const key = keyOf(endpoint);
      if (tried?.has(key)) continue;
      const { active, ejectedUntil } = healthOf(key);
      if (!withEjected && ejectedUntil > time) continue;
      if (active < least) {
        best = endpoint;
        bestAt = at;
        least = active;
        if (active === 0) break;
      }
    }
    if (best) cursors.set(set, (bestAt + 1) % endpoints.length);
    return best;
  }

  function lease(endpoint: Endpoint): Lease {
    const key = keyOf(endpoint);
    const health = healthOf(key);
    health.active += 1;
    let open = true;
    return {
      endpoint,
      key,
      failed() {
        health.failures += 1;
        health.ejectedUntil = now() + Math.min(longestEjection, firstEjection * 2 ** (health.failures - 1));
      },
      succeeded() {
        health.failures = 0;
        health.ejectedUntil = 0;
      },
      done() {
        if (open) health.active -= 1;
        open = false;
      },
    };
  }

  return {
    pick(set, tried) {
      const endpoint = choose(set, tried, false) ?? choose(set, tried, true);
      return endpoint && lease(endpoint);
    },
    retain(wanted) {
      for (const [key, { active }] of healths) if (active === 0 && !wanted.has(key)) healths.delete(key);
    },
    get ejected() {
      const time = now();
      let count = 0;
      for (const { ejectedUntil } of healths.values()) if (ejectedUntil > time) count += 1;
      return count;
    },
  };
}
