import { buildMesh } from '../catalog/build-mesh.ts';
import type { MeshModel } from '../catalog/mesh-model.ts';
import { isHttp } from '../catalog/protocol.ts';
import { explainInbound } from '../policy/explain.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import type { BackendView, Explanation, Finding, RequestView, SplitView } from './explanation.ts';
import type { CallDestination, CallSource } from './call-parties.ts';
import { type MeshFacts, placeOf } from './mesh-facts.ts';
import { nearestMiss } from './nearest-miss.ts';
import type { CallRequest } from './request.ts';
import { viewSplit } from './view-split.ts';
import { idleTargets, nameOf, optionalAt, viewTarget } from './view-target.ts';
import {
  answerOf,
  askServer,
  type CallPart,
  type CallQuery,
  type CallWalk,
  type ServerVerdict,
  summarize,
  walkCall,
} from './walk-call.ts';
import { isEnforced } from '../policy/inbound.ts';

/** One question: may this caller call that Service with this request? */
export interface Question {
  readonly source: CallSource;
  readonly destination: CallDestination;
  /** Absent: a TCP connection, or whatever request the rules ask for. */
  readonly request?: CallRequest;
}

/** The whole path of a decision: each verdict in it is `decide`'s own (walkCall), each condition `explainInbound`'s. */
export function explainCall(facts: MeshFacts, { source, destination, request }: Question): Explanation {
  const { entry, hostname } = destination;
  const query: CallQuery = {
    entry,
    ...(source.identity !== undefined && { source: source.identity }),
    ...(hostname !== undefined && { hostname }),
    ...(request?.kind === 'request' && { request: request.request }),
    ...(request?.kind === 'malformed' && { unreadable: true }),
  };
  const walk = walkCall(facts.model, query);
  const isRouted = walk.service !== undefined || query.source === undefined || !walk.parts.some(isOutOfReach);
  const routed = isRouted ? walk : walkCall(openedModel(facts), query);
  const parts = isRouted ? walk.parts : behindReach(facts, query, routed);
  const reader = parts.find(({ server }) => server?.readsHttp === true)?.server;
  const asked = isHttp(entry.protocol) || reader ? request : undefined;
  const view = asked && toRequestView(asked);
  const base = {
    source: {
      account: source.account,
      ...(source.identity !== undefined && { identity: source.identity }),
      workloads: source.workloads,
    },
    destination: {
      service: `${entry.namespace}/${entry.name}`,
      port: entry.port,
      protocol: entry.protocol,
      ...(hostname !== undefined && { pod: hostname }),
    },
    ...(view && { request: view }),
  };
  const notes = notesOf({ source, destination, ...(request && { request }) }, reader);
  const summary = summarize(walk);
  const { served, denied, unavailable, malformed, reasons } = summary;
  const shares = { served, denied, unavailable, malformed, reasons };
  if (malformed > 0 && isHttp(entry.protocol)) {
    return { ...base, ...shares, backends: [], answer: 'malformed', because: refusals(asked), notes };
  }
  const backends = parts.map((part) => viewBackend(facts, part, query));
  const split = routed.service && viewSplit(facts, routed.service, routed, query);
  const answer = answerOf(summary);
  const isReadable = isHttp(entry.protocol) || reader !== undefined;
  const open = answer === 'deny' && isReadable && request === undefined && backends.some(asksForRequest);
  const near = summary.reasons.length > 0 && !open ? nearestMiss(backends) : undefined;
  return {
    ...base,
    ...(split && { split }),
    backends,
    ...shares,
    answer: open ? 'depends' : answer,
    because: open
      ? requestsAskedFor(backends)
      : [...because(facts, walk, backends, entry, split), ...(malformed > 0 ? refusals(asked) : [])],
    ...(near && { nearest: near }),
    notes,
  };
}

function isOutOfReach({ server, pods, reason }: CallPart): boolean {
  return server === undefined && pods.length === 0 && reason !== undefined;
}

function refusals(asked: CallRequest | undefined): readonly Finding[] {
  const fault = asked?.kind === 'malformed' ? ` (${asked.fault})` : '';
  return [{ message: `the request target is refused with 400${fault}, before any policy` }];
}

function toRequestView(asked: CallRequest): RequestView {
  const { method, target, headers } = asked.sent;
  return asked.kind === 'malformed'
    ? { method, target, fault: asked.fault, headers }
    : { method, target, path: asked.request.path, headers };
}

/** `reader`: a server that reads HTTP where calls come to. */
function notesOf({ source, destination, request }: Question, reader: ServerVerdict | undefined): readonly string[] {
  const notes: string[] = [];
  const { entry, needsNamespace } = destination;
  if (source.account !== '' && source.workloads.length === 0) notes.push(`no workload runs as ${source.account}`);
  if (needsNamespace) {
    notes.push(`from ${source.namespace} the app has to call it ${entry.name}.${entry.namespace}`);
  }
  if (!isHttp(entry.protocol) && reader) {
    notes.push(
      `port ${entry.port} speaks ${entry.protocol}, and port ${reader.port} of the workload is taken as HTTP, as another Service has it: requests are held against the rules there, and other bytes are refused with 400`,
    );
  } else if (request && !isHttp(entry.protocol)) {
    notes.push(
      `port ${entry.port} speaks ${entry.protocol}: its bytes pass as they are, and no method, path or header is seen`,
    );
  }
  return notes;
}

function viewBackend(facts: MeshFacts, part: CallPart, query: CallQuery): BackendView {
  const { share, kind, backend, pods, server, reason } = part;
  const base = { service: backend, share, pods, outcome: kind, ...(reason && { reason }) };
  if (server === undefined) return { ...base, targets: [] };
  const { policy, port } = server;
  const { identity, mode, modeFrom } = policy;
  const { source } = query;
  const request = server.readsHttp ? query.request : undefined;
  const { rules } = explainInbound(policy, { port, ...(source && { source }), ...(request && { request }) });
  const targets = [...rules.map((rule) => viewTarget(facts, rule, query, server)), ...idleTargets(facts, policy)];
  return { ...base, account: nameOf(identity), port, mode, modeFrom, targets };
}

/** A target names the source and the port, and what is left to say is the request. */
function asksForRequest({ targets }: BackendView): boolean {
  return targets.some(
    ({ conditions, matches, shadow }) =>
      !shadow && matches !== undefined && conditions.length > 0 && conditions.every(({ held }) => held),
  );
}

function requestsAskedFor(backends: readonly BackendView[]): readonly Finding[] {
  const texts = backends
    .filter(asksForRequest)
    .flatMap(({ targets }) =>
      targets.flatMap(({ matches = [] }) =>
        matches.map(({ conditions }) =>
          conditions.map(({ wanted, header }) => (header ? `${header}: ${wanted}` : wanted)).join(' '),
        ),
      ),
    );
  return [...new Set(texts)].map((text) => ({ message: text === '' ? 'any HTTP request' : text }));
}

const opened = new WeakMap<MeshFacts, MeshModel>();

/** The same mesh with everything let pass: how a call would be routed whose client may not reach the Service. */
function openedModel(facts: MeshFacts): MeshModel {
  let model = opened.get(facts);
  if (model === undefined) {
    const { config, namespaces } = facts.snapshot;
    model = buildMesh({
      ...facts.snapshot,
      config: { ...config, mode: 'permissive' },
      namespaces: namespaces.map(({ name, meshed }) => ({ name, meshed })),
    }).value;
    opened.set(facts, model);
  }
  return model;
}

/** What the servers behind a Service that is out of reach would say, were they asked. */
function behindReach({ model }: MeshFacts, query: CallQuery, { parts }: CallWalk): readonly CallPart[] {
  const byServer = new Map<string, CallPart>();
  const numbers = new Map<unknown, number>();
  for (const { share, backend, pods, server: opened } of parts) {
    for (const pod of opened === undefined ? [] : pods) {
      const policy = model.pods.get(pod)?.inbound;
      if (policy === undefined || opened === undefined) continue;
      numbers.set(policy, numbers.get(policy) ?? numbers.size);
      const key = `${backend} ${opened.port} ${numbers.get(policy)}`;
      const known = byServer.get(key);
      const server = askServer(policy, opened.port, query);
      const { reason } = server.verdict;
      byServer.set(key, {
        share: share / pods.length + (known?.share ?? 0),
        kind: 'denied',
        backend,
        pods: [...(known?.pods ?? []), pod],
        server,
        ...(reason && { reason }),
      });
    }
  }
  return [...byServer.values()];
}

function because(
  facts: MeshFacts,
  walk: CallWalk,
  backends: readonly BackendView[],
  entry: DirectoryEntry,
  split: SplitView | undefined,
): readonly Finding[] {
  const found = new Map<string, Finding>();
  for (const { kind, server } of walk.parts) {
    const rule = server?.verdict.rule;
    if (kind !== 'served' || rule === undefined) continue;
    const message = `TrafficTarget ${rule.namespace}/${rule.name}`;
    found.set(message, { message, ...optionalAt(placeOf(facts, rule)) });
  }
  for (const { service, outcome, mode, modeFrom, reason, account, share } of backends) {
    const where = backends.length > 1 ? `${service} (${percent(share)}): ` : '';
    if (outcome === 'unavailable') add(`${where}no ready pod stands behind it, so the answer is 503`);
    else if (outcome === 'served' && mode !== undefined && !isEnforced({ mode })) {
      const would = reason ? `; enforced, it would be refused (${reason})` : '';
      add(`${where}mode ${mode} (${modeFrom}) lets everything pass${would}`);
    } else if (outcome === 'served' && mode === undefined)
      add(`${where}it has no sidecar, so nothing is enforced there`);
    else if (outcome === 'denied' && reason)
      add(`${where}${denial(reason, account ?? `${entry.namespace}/${service}`)}`);
  }
  const { decision } = walk;
  if (walk.service === undefined && backends.length === 0) {
    // Nobody is there whose targets could be shown.
    for (const { reason } of walk.parts)
      if (reason) add(`nothing behind Service ${entry.namespace}/${entry.name} lets this source in (${reason})`);
    if (split?.matched === true && split.shares.every(({ share }) => share === 0))
      add('and no backend of the split takes traffic: who is let in is answered with 503');
  }
  if (decision?.kind === 'unavailable') {
    found.clear();
    add('no backend of the split takes traffic, so the answer is 503');
  }
  return [...found.values()];

  function add(message: string): void {
    found.set(message, { message });
  }
}

function denial(reason: NonNullable<BackendView['reason']>, account: string): string {
  switch (reason) {
    case 'NoTarget':
      return `no TrafficTarget opens ServiceAccount ${account} (NoTarget)`;
    case 'SourceNotAllowed':
      return `no TrafficTarget for ServiceAccount ${account} has this source (SourceNotAllowed)`;
    case 'RequestNotAllowed':
      return `a TrafficTarget for ServiceAccount ${account} has this source, and none of its rules fits (RequestNotAllowed)`;
    case 'PlaintextRefused':
      return `ServiceAccount ${account} takes no caller without a sidecar (PlaintextRefused)`;
  }
}

/** `33.3 %`, `50 %`. */
export function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}
