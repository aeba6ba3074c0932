import type { MeshModel } from '../catalog/mesh-model.ts';
import { isHttp } from '../catalog/protocol.ts';
import {
  decideInbound,
  decideOutbound,
  type DenyReason,
  type InboundVerdict,
  type OutboundDecision,
  outOfReach,
} from '../policy/decide.ts';
import type { Endpoint } from '../policy/endpoints.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { HttpRequest } from '../policy/match.ts';
import type { OutboundService } from '../policy/outbound.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';

/** A call that somebody may make. */
export interface CallQuery {
  /** Absent: a caller without a sidecar. */
  readonly source?: ServiceIdentity;
  readonly entry: DirectoryEntry;
  /** First label of a pod's own name behind a headless Service: only that pod is meant. */
  readonly hostname?: string;
  /** Normalised already. Absent: a TCP connection. On an opaque port it is seen where the server's side speaks HTTP, and nowhere else. */
  readonly request?: HttpRequest;
  /** In the place of `request`: whoever reads HTTP refuses it with 400, before any policy. */
  readonly unreadable?: true;
}

/** A share of the calls that all end in the same way, at pods with the same policy. */
export interface CallPart {
  /** 0 to 1, of all calls. */
  readonly share: number;
  readonly kind: 'served' | 'denied' | 'unavailable' | 'malformed';
  /** Name of the Service that was chosen: of the backend with a split. */
  readonly backend: string;
  readonly pods: readonly string[];
  /** What the server's side says. Absent: it does not come to it, or there is no sidecar. */
  readonly server?: ServerVerdict;
  readonly reason?: DenyReason;
}

export interface ServerVerdict {
  readonly policy: InboundPolicy;
  /** The workload's own. */
  readonly port: number;
  readonly verdict: InboundVerdict;
  /** The server's sidecar looks into what comes there, also where the client's took it for bytes. */
  readonly readsHttp: boolean;
}

export interface CallWalk {
  /** Of the Service, as this client has it. Absent: out of its reach, so that its own sidecar refuses. */
  readonly service?: OutboundService;
  readonly decision?: OutboundDecision;
  readonly parts: readonly CallPart[];
}

/**
 * Walks a call as the two sidecars do, all chances taken together: the client's outbound policy, then the inbound policies
 * of every endpoint that it may come to. Every verdict is `decide`'s own.
 */
export function walkCall(model: MeshModel, query: CallQuery): CallWalk {
  const { source, entry } = query;
  const seen = isHttp(entry.protocol);
  if (seen && query.unreadable) return { parts: [{ share: 1, kind: 'malformed', backend: entry.name, pods: [] }] };
  if (source === undefined) return { parts: plaintextParts(model, query) };
  const { reach } = model.policyOf(source);
  const service = reach.outbound.get(entry.key);
  if (service === undefined) {
    return { parts: [{ share: 1, kind: 'denied', backend: entry.name, pods: [], reason: outOfReach }] };
  }
  const decision = decideOutbound(service, seen ? query.request : undefined);
  const parts = createParts();
  if (decision.kind === 'unavailable') {
    parts.add({ share: 1, kind: 'unavailable', backend: entry.name, pods: [] });
  } else {
    for (const { backend, share } of decision.backends) {
      const all = reach.endpoints.get(backend.endpoints)?.endpoints ?? [];
      const ready = all.filter((endpoint) => isMeant(endpoint, query));
      const unseen = unseenPods(query, all);
      const count = ready.length + unseen;
      if (count === 0) parts.add({ share, kind: 'unavailable', backend: backend.service, pods: [] });
      if (unseen > 0) {
        const part = { kind: 'denied', backend: backend.service, pods: [], reason: outOfReach } as const;
        parts.add({ share: (share * unseen) / count, ...part });
      }
      for (const endpoint of ready) {
        parts.add(partAt(model, query, endpoint, backend.service, share / count));
      }
    }
  }
  return { service, decision, parts: parts.list() };
}

/** A headless Service's name leads to all of its pods, also to those that this client may not reach: how many these are. */
function unseenPods({ entry, hostname }: CallQuery, seen: readonly Endpoint[]): number {
  const pods = hostname === undefined ? (entry.pods ?? []) : [];
  return pods.filter(({ ip }) => !seen.some((endpoint) => endpoint.ip === ip)).length;
}

function isMeant({ ready, hostname }: Endpoint, query: CallQuery): boolean {
  return ready && (query.hostname === undefined || query.hostname === hostname);
}

function partAt(model: MeshModel, query: CallQuery, endpoint: Endpoint, backend: string, share: number): CallPart {
  const { pod, meshed, port } = endpoint;
  const pods = [pod];
  if (!meshed) return { share, kind: 'served', backend, pods };
  const policy = model.pods.get(pod)?.inbound;
  if (policy === undefined) return { share, kind: 'unavailable', backend, pods };
  const server = askServer(policy, port, query);
  return { share, backend, pods, server, ...endOf(server, query) };
}

function endOf({ verdict, readsHttp }: ServerVerdict, { unreadable }: CallQuery): Pick<CallPart, 'kind' | 'reason'> {
  if (readsHttp && unreadable) return { kind: 'malformed' };
  const { allowed, reason } = verdict;
  return { kind: allowed ? 'served' : 'denied', ...(reason && { reason }) };
}

/** What the server's sidecar says to a call at a port. */
export function askServer(
  policy: InboundPolicy,
  port: number,
  { source, request }: Pick<CallQuery, 'source' | 'request'>,
): ServerVerdict {
  // A port that is opaque on the server's side has no requests there.
  const readsHttp = isHttp(policy.ports.find((known) => known.port === port)?.protocol ?? 'http');
  const seen = readsHttp ? request : undefined;
  const verdict = decideInbound(policy, { port, ...(source && { source }), ...(seen && { request: seen }) });
  return { policy, port, verdict, readsHttp };
}

/** A caller without a sidecar comes to the workloads of the Service, past any split. */
function plaintextParts(model: MeshModel, query: CallQuery): readonly CallPart[] {
  const servers = serversOf(model, query.entry);
  const parts = createParts();
  for (const { pod, policy, port } of servers) {
    const server = askServer(policy, port, query);
    const share = 1 / servers.length;
    parts.add({ share, backend: query.entry.name, pods: [pod], server, ...endOf(server, query) });
  }
  if (servers.length === 0) parts.add({ share: 1, kind: 'unavailable', backend: query.entry.name, pods: [] });
  return parts.list();
}

export interface Server {
  /** `namespace/name`. */
  readonly pod: string;
  readonly policy: InboundPolicy;
  readonly port: number;
}

/** The meshed workloads behind a Service port, whoever may reach them. */
function serversOf(
  model: MeshModel,
  { namespace, name, port }: Pick<DirectoryEntry, 'namespace' | 'name' | 'port'>,
): readonly Server[] {
  const id = `${namespace}/${name}`;
  return [...model.pods].flatMap(([pod, { inbound: policy }]) => {
    const ports = policy.ports.filter(({ services }) => services.includes(id));
    const best = ports.find((candidate) => candidate.port === port) ?? ports[0];
    return best ? [{ pod, policy, port: best.port }] : [];
  });
}

/** Adds up what ends in the same way. */
function createParts(): { add(part: CallPart): void; list(): readonly CallPart[] } {
  const parts: CallPart[] = [];
  return {
    add(part) {
      const i = parts.findIndex(
        ({ kind, backend, server }) =>
          kind === part.kind &&
          backend === part.backend &&
          server?.policy === part.server?.policy &&
          server?.port === part.server?.port,
      );
      const same = parts[i];
      if (same === undefined) parts.push(part);
      else parts[i] = { ...same, share: same.share + part.share, pods: [...same.pods, ...part.pods] };
    },
    list: () => parts,
  };
}

/** What becomes of a call, in numbers. */
export interface CallSummary {
  readonly served: number;
  readonly denied: number;
  readonly unavailable: number;
  /** Answered with 400. */
  readonly malformed: number;
  /** Share of what is served, by backend. */
  readonly shares: Readonly<Record<string, number>>;
  /** Of denials, and of what would be denied where policy is not enforced; sorted. */
  readonly reasons: readonly DenyReason[];
}

export function summarize({ parts }: Pick<CallWalk, 'parts'>): CallSummary {
  const sums = { served: 0, denied: 0, unavailable: 0, malformed: 0 };
  const shares: Record<string, number> = {};
  const reasons = new Set<DenyReason>();
  for (const { share, kind, backend, reason } of parts) {
    sums[kind] += share;
    if (kind === 'served') shares[backend] = (shares[backend] ?? 0) + share;
    if (reason) reasons.add(reason);
  }
  return { ...sums, shares, reasons: [...reasons].sort() };
}

export type Answer = 'allow' | 'deny' | 'partly' | 'unavailable' | 'malformed';

const negligible = 1e-9;

/** `partly`: some of the calls are served and some are not. */
export function answerOf({ served, denied, unavailable, malformed }: CallSummary): Answer {
  if (served > 1 - negligible) return 'allow';
  if (denied > 1 - negligible) return 'deny';
  if (malformed > 1 - negligible) return 'malformed';
  return unavailable > 1 - negligible ? 'unavailable' : 'partly';
}
