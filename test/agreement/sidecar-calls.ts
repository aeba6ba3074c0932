import assert, { AssertionError } from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { isHttp } from '../../pkg/catalog/protocol.ts';
import type { MeshSnapshot } from '../../pkg/catalog/snapshot.ts';
import { type MeshFacts, toMeshFacts } from '../../pkg/explain/mesh-facts.ts';
import type { Endpoint } from '../../pkg/policy/endpoints.ts';
import type { AppProtocol } from '../../pkg/policy/inbound.ts';
import { toServiceIdentity, type TrustDomain } from '../../pkg/policy/identity.ts';
import type { DirectoryEntry } from '../../pkg/policy/proxy-policy.ts';
import type { Call } from '../conformance/calls.ts';
import { type CallOutcome, decideCall } from '../conformance/decide-call.ts';
import { arbitraryDraft, type Asked, callTo, type Draft } from './arbitrary-call.ts';
import { agreementMesh } from './arbitrary-policy.ts';
import { holdShare } from './chance.ts';
import type { Told } from './envoy-asking.ts';
import type { Differs } from './shrink.ts';

/** A random mesh and the calls that it is put to, each with what `decide` says. */
export interface Trial {
  /** For a report that can be repeated. */
  readonly seed: number;
  readonly facts: MeshFacts;
  readonly calls: readonly DecidedCall[];
}

export interface DecidedCall {
  readonly call: Call;
  readonly outcome: CallOutcome;
  /** Chance has a part in what becomes of it. */
  readonly shared: boolean;
  /** The client's side takes it for bytes: its answer can name no backend. */
  readonly opaque: boolean;
  /** Another request would have ended otherwise: most of what is served is so whatever it asks for. */
  readonly byRequest: boolean;
  /**
   * What Envoy makes of it in HTTP/2, where it differs: there it escapes what is beyond ASCII and asks policy of that, which
   * is also what the app gets (test/agreement/hostile-requests.ts).
   */
  readonly escaped?: CallOutcome;
}

/**
 * Random trials without end, the same for the same seed. Most of what can be asked of a random mesh is refused for the same
 * few reasons: many more calls are decided than made, and of each kind so many are kept.
 */
export function* trials(seed: number, callsPerMesh: number): Generator<Trial> {
  for (let own = seed; ; own += 1) {
    // The first that fast-check makes of a seed are small, with next to no rules in them: bias is for those who shrink.
    const [snapshot] = fc.sample(fc.noBias(agreementMesh), { numRuns: 1, seed: own }) as [MeshSnapshot];
    const drafts = fc.sample(fc.noBias(arbitraryDraft), { numRuns: callsPerMesh * draftsPerCall, seed: own });
    const facts = toMeshFacts(snapshot);
    const calls = drafts.flatMap((draft) => decided(facts, snapshot, draft));
    const chosen = choose(calls, callsPerMesh);
    if (chosen.length > 0) yield { seed: own, facts, calls: chosen };
  }
}

const draftsPerCall = 8;

/** As many of each kind as there are places for, one kind after the other, until all places are taken. */
function choose(calls: readonly DecidedCall[], places: number): DecidedCall[] {
  const kinds = new Map<string, DecidedCall[]>();
  for (const decided of calls) {
    const kind = kindOf(decided);
    kinds.set(kind, [...(kinds.get(kind) ?? []), decided]);
  }
  const chosen: DecidedCall[] = [];
  for (let turn = 0; chosen.length < places; turn += 1) {
    const left = [...kinds].flatMap(([kind, list]) => (turn < limitOf(kind) ? (list[turn] ?? []) : []));
    if (left.length === 0) break;
    chosen.push(...left.slice(0, places - chosen.length));
  }
  return chosen;
}

/** What ends before any rule is asked is soon known. */
function limitOf(kind: string): number {
  return /^(malformed|unavailable|denied [a-z ]+ SourceNotAllowed$)/.test(kind) ? 3 : Number.POSITIVE_INFINITY;
}

function kindOf({ call, outcome, shared, opaque, byRequest }: DecidedCall): string {
  const { denied, unavailable, malformed, reasons } = outcome;
  const ends = shared
    ? 'shared'
    : denied > 0
      ? 'denied'
      : unavailable > 0
        ? 'unavailable'
        : malformed > 0
          ? 'malformed'
          : 'served';
  const protocol = `${ends === 'malformed' ? '' : call.protocol}${opaque ? ' as bytes' : ''}${byRequest ? ' by request' : ''}`;
  return `${ends} ${protocol} ${reasons.join()}${shared ? ` ${call.to}` : ''}`;
}

function decided(facts: MeshFacts, snapshot: MeshSnapshot, draft: Draft): readonly DecidedCall[] {
  const asked = callTo(snapshot, draft);
  return asked === undefined ? [] : judgeCall(facts, asked);
}

/** The call as an app would make it, with what `decide` says of it; none: it can't be told by what comes back. */
export function judgeCall(facts: MeshFacts, asked: Asked): readonly DecidedCall[] {
  const { directory } = facts.model.policyOf('spiffe://cluster.local/ns/x/sa/x' as never);
  const entry = directory.get(keyOf(asked.to));
  if (entry === undefined) return [];
  // Two headless Services with a pod and a port in common: the address that is dialled does not say which of them is meant.
  if (hasSharedPods(entry, directory) || leadsNowhere(facts, asked, entry)) return [];
  const servers = asked.from === undefined ? plainServers(facts, entry) : servedBy(facts, asked, entry);
  if (asked.from === undefined && servers.length === 0) return [];
  // The HTTP/2 client that asks takes one line of user-agent and no more.
  const headers = asked.headers.filter(
    ([name], i, all) => name !== 'user-agent' || all.findIndex(([n]) => n === name) === i,
  );
  const base: Call = { ...asked, headers, expect: { allow: true } };
  const call = spokenTo(facts, base, entry, servers);
  if (isNotSent(call)) return [];
  const outcome = decideCall(facts.model, call);
  const { shares, denied, unavailable, malformed } = outcome;
  const parts = [...Object.values(shares), denied, unavailable, malformed].filter((part) => part > 1e-9);
  // Nobody is there whom a caller without a sidecar could reach.
  if (parts.length === 0) return [];
  // A backend that takes bytes refuses by closing: whoever asked in HTTP hears of nobody (503), where bytes are denied.
  const isClosed = servers.some((protocol) => protocol !== undefined && !isHttp(protocol)) && denied > 1e-9;
  if (isHttp(entry.protocol) && isClosed) return [];
  const opaque = call.protocol !== 'tcp' && !isHttp(entry.protocol);
  const isBeyond = call.protocol === 'http' && /[^\x21-\x7e]/.test(call.path);
  const escaped = isBeyond ? decideCall(facts.model, { ...call, path: encodeURI(call.path) }) : undefined;
  const other = decideCall(facts.model, { ...call, ...unlike });
  const byRequest = call.protocol !== 'tcp' && malformed < 1 && !isDeepStrictEqual(other, outcome);
  return [{ call, outcome, shared: parts.length > 1, opaque, byRequest, ...(escaped && { escaped }) }];
}

/** Fits none but the conditions that fit everything. */
const unlike = { method: 'BREW', path: '/nobody/asks/for', headers: [], authority: 'nobody.example' };

/**
 * As an app would put it to this port. A gRPC client speaks gRPC and asks for a method of a service. On a port that is taken
 * for bytes requests are sent where all servers read HTTP, for another Service says so of theirs: an app of bytes would
 * answer them somehow. What the client's side then refuses by closing is told of bytes alone.
 */
function spokenTo(facts: MeshFacts, call: Call, entry: DirectoryEntry, servers: readonly Server[]): Call {
  if (entry.protocol === 'grpc') return { ...call, protocol: 'grpc', method: 'POST', path: '/a' };
  if (isHttp(entry.protocol)) return call;
  const isRead = servers.length > 0 && servers.every((protocol) => protocol !== undefined && isHttp(protocol));
  if (!isRead || call.protocol === 'tcp') return { ...call, protocol: 'tcp' };
  const { denied, unavailable } = decideCall(facts.model, { ...call, protocol: 'tcp' });
  return denied + unavailable > 1e-9 ? { ...call, protocol: 'tcp' } : call;
}

/** What a sidecar takes a port for; undefined: there is none, and the app gets the bytes. */
type Server = AppProtocol | undefined;

function plainServers({ model }: MeshFacts, { namespace, name }: DirectoryEntry): readonly Server[] {
  return [...model.pods.values()].flatMap(({ inbound }) =>
    inbound.ports.filter(({ services }) => services.includes(`${namespace}/${name}`)).map(({ protocol }) => protocol),
  );
}

function servedBy(facts: MeshFacts, asked: Asked, entry: DirectoryEntry): readonly Server[] {
  return endpointsFor(facts, asked, entry).map(
    ({ pod, port }) => facts.model.pods.get(pod)?.inbound.ports.find((own) => own.port === port)?.protocol,
  );
}

function hasSharedPods(entry: DirectoryEntry, directory: ReadonlyMap<string, DirectoryEntry>): boolean {
  const own = new Set(entry.pods?.map(({ ip }) => ip));
  return [...directory.values()].some(
    ({ key, port, pods = [] }) => key !== entry.key && port === entry.port && pods.some(({ ip }) => own.has(ip)),
  );
}

function endpointsFor({ model }: MeshFacts, { from = '' }: Asked, { key }: DirectoryEntry): readonly Endpoint[] {
  const [namespace = '', name = ''] = from.split('/');
  const { reach } = model.policyOf(toServiceIdentity('cluster.local' as TrustDomain, { namespace, name }));
  const backends = reach.outbound.get(key)?.routes.flatMap((route) => route.backends) ?? [];
  return backends.flatMap((backend) => reach.endpoints.get(backend.endpoints)?.endpoints ?? []);
}

/** The name of a headless Service without pods that are ready has no address that could be dialled. */
function leadsNowhere(facts: MeshFacts, asked: Asked, entry: DirectoryEntry): boolean {
  if (entry.addresses.length > 0 || asked.from === undefined) return false;
  const unready = new Set(endpointsFor(facts, asked, entry).flatMap(({ ready, ip }) => (ready ? [] : (ip ?? []))));
  return !entry.pods?.some(({ ip }) => !unready.has(ip));
}

/** What never comes to policy as it is sent: absolute form is taken apart before, sidecars take out what is theirs to say. */
function isNotSent({ path, headers, protocol, method }: Call): boolean {
  const ours = headers.some(([name]) => /^x-(tulle|envoy)-/i.test(name));
  return /^https?:/.test(path) || ours || (protocol !== 'tcp' && method === 'CONNECT');
}

function keyOf(to: string): string {
  const [host = '', port] = to.split(':');
  const [name, namespace] = host.split('.');
  return `${namespace}/${name}:${port}`;
}

/** Whether a sidecar still does something else than `decide` says, in a mesh and for a call that became smaller. */
export function differsThrough(hold: (facts: MeshFacts, decided: DecidedCall) => Promise<void>): Differs {
  return async ({ snapshot, call }) => {
    const facts = toMeshFacts(snapshot);
    const [decided] = judgeCall(facts, call);
    if (decided === undefined || !isDeepStrictEqual(decided.call, { ...call, expect: { allow: true } })) return false;
    try {
      await hold(facts, decided);
      return false;
    } catch (error) {
      return error instanceof AssertionError;
    }
  };
}

/** Throws where a sidecar did something else than `decide` says. `tolerance`: of shares, for those who draw lots. */
export function holdAgreement(made: CallOutcome, { call, outcome, shared }: DecidedCall, tolerance: number): void {
  const near = (is: number, wanted: number, what: string): void =>
    assert.ok(
      Math.abs(is - wanted) <= (shared ? tolerance : 1e-9),
      `${what} is ${is}, not ${wanted}: ${JSON.stringify(made)}, decided ${JSON.stringify(outcome)}`,
    );
  for (const kind of ['denied', 'unavailable', 'malformed'] as const) near(made[kind], outcome[kind], kind);
  const served = (shares: CallOutcome['shares']): number => Object.values(shares).reduce((sum, part) => sum + part, 0);
  near(served(made.shares), served(outcome.shares), 'served');
  // A caller without a sidecar comes to a pod, past all routing: nothing names a backend.
  if (call.from === undefined) return;
  for (const [backend, share] of Object.entries(outcome.shares)) near(made.shares[backend] ?? 0, share, backend);
}

/** Throws where answers, each with all that is known of it, differ from what `decide` says of them together. */
export function holdCounts(told: readonly Told[], { call, outcome, opaque }: DecidedCall): void {
  const count = (fits: (one: Told) => boolean): number => told.filter(fits).length;
  const texts = told.map((one) => JSON.stringify(one));
  const seen = [...new Set(texts)]
    .map((text) => `${texts.filter((other) => other === text).length} x ${text}`)
    .join(' ');
  const hold = (counted: number, share: number, what: string): void =>
    holdShare(counted, told.length, share, `${what}, ${seen}, decided ${JSON.stringify(outcome)}`);
  for (const kind of ['denied', 'unavailable', 'malformed'] as const) {
    hold(
      count((one) => one.kind === kind),
      outcome[kind],
      kind,
    );
  }
  hold(
    count(({ kind }) => kind === 'closed'),
    0,
    'neither served nor refused',
  );
  const served = told.filter(({ kind }) => kind === 'served');
  const shares = Object.entries(outcome.shares).filter(([, share]) => share > 1e-9);
  hold(
    served.length,
    shares.reduce((sum, [, share]) => sum + share, 0),
    'served',
  );
  // A caller without a sidecar comes to a pod, past all routing: nothing names a backend.
  if (call.from !== undefined && !opaque) {
    for (const [backend, share] of shares) hold(served.filter((one) => one.backend === backend).length, share, backend);
  }
  // A connection is only closed by the server's side: no word of why reaches the client.
  const reasons = new Set(told.flatMap((one) => one.reasons));
  const shadow = new Set(told.flatMap((one) => one.shadow));
  for (const reason of reasons)
    assert.ok(outcome.reasons.includes(reason), `${reason}, ${seen}, ${JSON.stringify(outcome)}`);
  for (const name of shadow) assert.ok(outcome.shadow.includes(name), `shadow ${name}, ${seen}`);
  if (call.protocol === 'tcp') return;
  hold(
    count((one) => one.reasons.length > 0),
    outcome.reasoned ?? 0,
    'with a reason',
  );
  // A refusal does not tell what a rehearsal would have allowed.
  if (outcome.denied < 1e-9)
    hold(
      count((one) => one.shadow.length > 0),
      outcome.rehearsed ?? 0,
      'rehearsed',
    );
}

/** A disagreement in one line, and how to see it again. */
export function describeTrial({ seed }: Trial, { call }: DecidedCall, error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `AGREEMENT_SEED=${seed}: ${JSON.stringify({ ...call, expect: undefined })}: ${why}`;
}
