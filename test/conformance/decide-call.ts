import assert from 'node:assert/strict';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import { isHttp } from '../../pkg/catalog/protocol.ts';
import {
  decideInbound,
  type DenyReason,
  decideOutbound,
  type InboundVerdict,
  outOfReach,
} from '../../pkg/policy/decide.ts';
import type { Endpoint } from '../../pkg/policy/endpoints.ts';
import { type ServiceIdentity, toServiceIdentity, type TrustDomain } from '../../pkg/policy/identity.ts';
import type { HttpRequest } from '../../pkg/policy/match.ts';
import { normalizePath } from '../../pkg/policy/normalize-path.ts';
import type { DirectoryEntry, ProxyPolicy } from '../../pkg/policy/proxy-policy.ts';
import type { Call, Expectation } from './calls.ts';

/** What happens to a call, all chances taken together: shares of 1. */
export interface CallOutcome {
  /** By backend. */
  readonly shares: Readonly<Record<string, number>>;
  readonly denied: number;
  readonly unavailable: number;
  /** Refused before policy: a request target that can't be normalised, or bytes that aren't HTTP on an HTTP port. */
  readonly malformed: number;
  /** Of denials, and of what would be denied where policy isn't enforced. */
  readonly reasons: readonly DenyReason[];
  readonly shadow: readonly string[];
  /** Share of calls that one of `reasons` is said of, and that one of `shadow` is; absent where nobody counts it. */
  readonly reasoned?: number;
  readonly rehearsed?: number;
}

/**
 * The oracle of conformance: walks a call through the client's outbound policy and the inbound policies of all that it may
 * come to, as the two sidecars do, by `decide` alone.
 */
export function decideCall(model: MeshModel, call: Call): CallOutcome {
  const tally = createTally();
  const client = clientOf(model, call);
  const { entry, hostname } = serviceOf(client, call);
  const request = requestOf(call);
  if (isHttp(entry.protocol) && request === 'malformed') {
    tally.malformed(1);
  } else if (call.from === undefined) {
    const servers = serversOf(model, entry);
    for (const { policy, port } of servers) inboundAt(policy, port, undefined, request, 1 / servers.length, entry.name);
  } else {
    outbound(client, entry, hostname);
  }
  return tally.outcome();

  function outbound(
    { identity, reach }: ProxyPolicy,
    { key, protocol, pods = [] }: DirectoryEntry,
    hostname: string | undefined,
  ): void {
    const service = reach.outbound.get(key);
    if (service === undefined) return tally.denied(1, outOfReach);
    const seen = isHttp(protocol) && request !== 'malformed' ? request : undefined;
    const decision = decideOutbound(service, seen);
    if (decision.kind === 'unavailable') return tally.unavailable(1);
    for (const { backend, share } of decision.backends) {
      const all = reach.endpoints.get(backend.endpoints)?.endpoints ?? [];
      const ready = all.filter(
        (endpoint) => endpoint.ready && (hostname === undefined || endpoint.hostname === hostname),
      );
      // A headless Service's name leads to all of its pods, and the one that is dialled may be out of this client's reach.
      const unseen = hostname === undefined ? pods.filter(({ ip }) => !all.some((endpoint) => endpoint.ip === ip)) : [];
      const count = ready.length + unseen.length;
      if (count === 0) tally.unavailable(share);
      if (unseen.length > 0) tally.denied((share * unseen.length) / count, outOfReach);
      for (const endpoint of ready) endpointAt(endpoint, identity, share / count, backend.service);
    }
  }

  function endpointAt({ pod, meshed, port }: Endpoint, source: ServiceIdentity, share: number, backend: string): void {
    if (!meshed) return tally.verdict(share, backend, { allowed: true });
    const server = model.pods.get(pod);
    assert.ok(server, `${pod} has no policy`);
    inboundAt(server, port, source, request, share, backend);
  }

  /** Whatever the client's side took it for: the server's reads HTTP, and refuses what is none, or sees bytes only. */
  function inboundAt(
    { inbound }: ProxyPolicy,
    port: number,
    source: ServiceIdentity | undefined,
    sent: HttpRequest | 'malformed',
    share: number,
    backend: string,
  ): void {
    const readsHttp = isHttp(inbound.ports.find((known) => known.port === port)?.protocol ?? 'http');
    if (readsHttp && sent === 'malformed') return tally.malformed(share);
    const seen = readsHttp && sent !== 'malformed' ? sent : undefined;
    tally.verdict(
      share,
      backend,
      decideInbound(inbound, { ...(source && { source }), port, ...(seen && { request: seen }) }),
    );
  }
}

function clientOf(model: MeshModel, { from }: Call): ProxyPolicy {
  const trustDomain = ([...model.pods.values()][0]?.settings.trustDomain ?? 'cluster.local') as TrustDomain;
  const [namespace = '', name = ''] = (from ?? 'outside/nobody').split('/');
  return model.policyOf(toServiceIdentity(trustDomain, { namespace, name }));
}

/** The Service port that a name and port mean to a client, and the pod's hostname when it is a pod's own name. */
function serviceOf({ directory }: ProxyPolicy, { to, from }: Call): { entry: DirectoryEntry; hostname?: string } {
  const [host = '', port] = to.split(':');
  const own = from?.split('/')[0];
  for (const entry of directory.values()) {
    if (entry.port !== Number(port)) continue;
    const known = entry.hostnames.includes(host) && (host.includes('.') || entry.namespace === own);
    if (known) return { entry };
    if (entry.pods?.some(({ hostnames }) => hostnames.includes(host)))
      return { entry, hostname: host.split('.')[0] ?? '' };
  }
  throw new Error(`the mesh has no ${to}`);
}

function requestOf({ protocol, method, path, headers, authority, to }: Call): HttpRequest | 'malformed' {
  const normalized = normalizePath(path);
  if (protocol === 'tcp' || !normalized.ok) return 'malformed';
  return {
    method,
    path: normalized.path + normalized.query,
    authority: authority ?? to,
    header: (name) => headers.filter(([known]) => known.toLowerCase() === name).map(([, value]) => value),
  };
}

/** Where a peer without sidecar comes to: the workloads of the Service, past any split. */
function serversOf(
  model: MeshModel,
  { namespace, name, port }: DirectoryEntry,
): { policy: ProxyPolicy; port: number }[] {
  const id = `${namespace}/${name}`;
  return [...model.pods.values()].flatMap((policy) => {
    const ports = policy.inbound.ports.filter(({ services }) => services.includes(id));
    const best = ports.find((candidate) => candidate.port === port) ?? ports[0];
    return best ? [{ policy, port: best.port }] : [];
  });
}

interface Tally {
  denied(share: number, reason: DenyReason): void;
  unavailable(share: number): void;
  malformed(share: number): void;
  verdict(share: number, backend: string, verdict: InboundVerdict): void;
  outcome(): CallOutcome;
}

function createTally(): Tally {
  const shares: Record<string, number> = {};
  const reasons = new Set<DenyReason>();
  const shadow = new Set<string>();
  const sums = { denied: 0, unavailable: 0, malformed: 0, reasoned: 0, rehearsed: 0 };
  return {
    denied(share, reason) {
      sums.denied += share;
      sums.reasoned += share;
      reasons.add(reason);
    },
    unavailable(share) {
      sums.unavailable += share;
    },
    malformed(share) {
      sums.malformed += share;
    },
    verdict(share, backend, { allowed, reason, shadowRules = [] }) {
      if (reason) {
        reasons.add(reason);
        sums.reasoned += share;
      }
      if (shadowRules.length > 0) sums.rehearsed += share;
      for (const { name } of shadowRules) shadow.add(name);
      if (allowed) shares[backend] = (shares[backend] ?? 0) + share;
      else sums.denied += share;
    },
    outcome: () => ({ shares, ...sums, reasons: [...reasons].sort(), shadow: [...shadow].sort() }),
  };
}

/** Holds an outcome against what is expected. `tolerance` is for those who count instead of compute. */
export function assertOutcome(outcome: CallOutcome, expect: Expectation, tolerance = 1e-9): void {
  const { shares, denied, unavailable, malformed, reasons } = outcome;
  const seen = JSON.stringify(outcome);
  const near = (actual: number, wanted: number, what: string): void =>
    assert.ok(Math.abs(actual - wanted) <= tolerance, `${what} is ${actual}, not ${wanted}: ${seen}`);
  const served = Object.values(shares).reduce((sum, share) => sum + share, 0);
  if (expect.allow) {
    near(denied, expect.denied ?? 0, 'denied');
    near(unavailable, expect.unavailable ?? 0, 'unavailable');
    near(malformed, expect.malformed ?? 0, 'malformed');
  } else {
    near(served, 0, 'served');
    const part = expect.reason === 'Unavailable' ? unavailable : expect.status === 400 ? malformed : denied;
    near(part, expect.denied ?? 1, 'the refused part');
  }
  for (const [backend, share] of Object.entries(expect.shares ?? {})) near(shares[backend] ?? 0, share, backend);
  if (expect.reason !== undefined && expect.reason !== 'Unavailable') assert.deepEqual(reasons, [expect.reason], seen);
  if (expect.allow && expect.reason === undefined) assert.deepEqual(reasons, [], seen);
  assert.deepEqual(outcome.shadow, expect.shadow ?? [], seen);
}
