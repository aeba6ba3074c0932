import type { ServiceIdentity } from '../policy/identity.ts';
import { isEnforced, type InboundPolicy } from '../policy/inbound.ts';
import type { ServicePortKey } from '../policy/outbound.ts';
import { accountsOf, type Backing } from './endpoints.ts';
import type { Grants } from './grants.ts';
import type { InboundPolicies } from './inbound.ts';
import { createLastRound, createValueIndex } from './lists.ts';
import { sameMembers } from './memo.ts';
import type { Namespaces } from './namespaces.ts';
import { compareText } from './order.ts';
import { isHttp } from './protocol.ts';

/** Who may call the workloads behind one Service port, and which of them: by account (DECISIONS S10). */
export interface Permission {
  /** All accounts behind it, sorted. */
  readonly accounts: readonly ServiceIdentity[];
  /** The accounts that everybody may call; absent: nobody may that isn't among `clients`. */
  readonly everyone?: readonly ServiceIdentity[];
  /** Sorted by client. Who is named in some rule, and the accounts that it may call; all of `accounts` is that very list. */
  readonly clients: ReadonlyMap<ServiceIdentity, readonly ServiceIdentity[]>;
  /** Those that are named by a rule in force, not by a rehearsal alone. */
  readonly granted: ReadonlySet<ServiceIdentity>;
}

/** What one inbound policy says of clients at one port. */
interface Guard {
  readonly open: boolean;
  /** Named by a rule in force that covers the port. */
  readonly covering: ReadonlySet<ServiceIdentity>;
  /** Named by a rule in force. */
  readonly granted: ReadonlySet<ServiceIdentity>;
  /** Named by any rule, rehearsals too: these must reach the server for it to say what it would do. */
  readonly named: ReadonlySet<ServiceIdentity>;
}

export function createPermissions(): (
  backings: readonly Backing[],
  inbound: InboundPolicies,
  grants: Grants,
  namespaces: Namespaces,
) => ReadonlyMap<ServicePortKey, Permission> {
  const guards = new WeakMap<InboundPolicy, Map<number, Guard>>();
  const lastRound = createLastRound(({ backing }: Entry) => backing.key);
  const permissionsOf = createValueIndex(
    ({ backing }: Entry) => backing.key,
    ({ permission }: Entry) => permission,
  );
  let last: Round | undefined;

  function guardOf(policy: InboundPolicy, port: number): Guard {
    const byPort = guards.get(policy) ?? new Map<number, Guard>();
    guards.set(policy, byPort);
    const guard = byPort.get(port) ?? toGuard(policy, port);
    byPort.set(port, guard);
    return guard;
  }

  /** What opens or closes a port: the policies of its members, and who waits for some. */
  function entryOf(backing: Backing, before: Entry | undefined, { inbound, grants, namespaces }: Round): Entry {
    const { members, service } = backing;
    const open = !isEnforced(namespaces.modeOf(service.namespace)) || !namespaces.isMeshed(service.namespace);
    const waiting = members.length === 0 ? grants.waitingFor(service.namespace) : nobody;
    const policies = members.map(({ workload }) => workload && inbound.get(workload));
    const isSame =
      before?.backing.endpoints === backing.endpoints &&
      before.open === open &&
      before.waiting === waiting &&
      sameMembers(before.policies, policies);
    if (isSame) return { ...before, backing };
    const seen = new Map<Guard, ServiceIdentity>();
    for (const [i, { endpoint }] of members.entries()) {
      const policy = policies[i];
      if (policy) seen.set(guardOf(policy, endpoint.port), policy.identity);
    }
    const next = members.length === 0 ? emptyPermission(open, waiting) : toPermission(backing, seen);
    return { backing, open, waiting, policies, permission: keepPermission(before?.permission, next) };
  }

  /** Can it be seen at a glance that nothing changed for this port? */
  function isUntouched({ backing, open, waiting, policies }: Entry, round: Round): boolean {
    const { members, service } = backing;
    if (round.namespaces !== last?.namespaces) return false;
    if (members.length === 0) return open || round.grants.waitingFor(service.namespace) === waiting;
    return members.every(({ workload }, i) => (workload && round.inbound.get(workload)) === policies[i]);
  }

  return (backings, inbound, grants, namespaces) => {
    const round = { inbound, grants, namespaces };
    const settled = last?.inbound === inbound && last.grants === grants && last.namespaces === namespaces;
    const entries = backings.map((backing, place) => {
      const before = lastRound.at(place, backing.key);
      const isSame = before?.backing === backing && (settled || isUntouched(before, round));
      return isSame ? before : entryOf(backing, before, round);
    });
    last = round;
    return permissionsOf(lastRound.keep(entries));
  };
}

interface Entry {
  readonly backing: Backing;
  readonly open: boolean;
  readonly waiting: readonly ServiceIdentity[];
  /** Of the members, in their order. */
  readonly policies: readonly (InboundPolicy | undefined)[];
  readonly permission: Permission;
}

interface Round {
  readonly inbound: InboundPolicies;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
}

const nobody: readonly ServiceIdentity[] = [];

function toGuard(policy: InboundPolicy, port: number): Guard {
  const { rules, ports } = policy;
  const protocol = ports.find((known) => known.port === port)?.protocol ?? 'http';
  const inForce = rules.filter(({ shadow }) => shadow === undefined);
  const covering = inForce.filter(
    (rule) => (rule.ports?.includes(port) ?? true) && (rule.http === undefined || isHttp(protocol)),
  );
  return {
    open: !isEnforced(policy),
    covering: new Set(covering.flatMap(({ sources }) => sources)),
    granted: new Set(inForce.flatMap(({ sources }) => sources)),
    named: new Set(rules.flatMap(({ sources }) => sources)),
  };
}

/**
 * Nothing stands behind it: who could call it, were there something, is told so (503) and not that it may not (403).
 * Those are the sources of the targets of its namespace that wait for their workloads.
 */
function emptyPermission(open: boolean, waiting: readonly ServiceIdentity[]): Permission {
  const accounts: readonly ServiceIdentity[] = [];
  const clients = new Map(waiting.map((client) => [client, accounts]));
  return {
    accounts,
    ...(open && { everyone: accounts }),
    clients: open ? new Map() : clients,
    granted: new Set(),
  };
}

function toPermission(backing: Backing, guards: ReadonlyMap<Guard, ServiceIdentity>): Permission {
  const accounts = accountsOf(backing);
  const subset = (wanted: ReadonlySet<ServiceIdentity>): readonly ServiceIdentity[] =>
    wanted.size === accounts.length ? accounts : accounts.filter((account) => wanted.has(account));
  const open = new Set<ServiceIdentity>();
  const covered = new Map<ServiceIdentity, Set<ServiceIdentity>>();
  const named = new Map<ServiceIdentity, Set<ServiceIdentity>>();
  const granted = new Set<ServiceIdentity>();
  for (const [guard, account] of guards) {
    if (guard.open) {
      open.add(account);
      continue;
    }
    for (const client of guard.covering) add(covered, client, account);
    for (const client of guard.named) add(named, client, account);
    for (const client of guard.granted) granted.add(client);
  }
  const unmeshed = backing.members.some(({ endpoint }) => !endpoint.meshed);
  const everyone = open.size > 0 || unmeshed ? subset(open) : undefined;
  const clients = new Map<ServiceIdentity, readonly ServiceIdentity[]>();
  for (const client of [...named.keys()].sort(compareText)) {
    // A client that no rule covers here goes to those that name it, so that they can say what is missing.
    const own = new Set([...open, ...(covered.get(client) ?? [])]);
    const may = own.size > 0 || unmeshed ? own : (named.get(client) ?? own);
    if (everyone === undefined || may.size > open.size) clients.set(client, subset(may));
  }
  return { accounts, ...(everyone && { everyone }), clients, granted };
}

function add<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  if (set) set.add(value);
  else sets.set(key, new Set([value]));
}

/** Equal permission is the same object, so that nothing behind it is done again. */
function keepPermission(previous: Permission | undefined, next: Permission): Permission {
  if (previous === undefined) return next;
  const same =
    sameMembers(previous.accounts, next.accounts) &&
    sameMembers(previous.everyone ?? [], next.everyone ?? []) &&
    (previous.everyone === undefined) === (next.everyone === undefined) &&
    sameMembers([...previous.granted], [...next.granted]) &&
    sameMembers([...previous.clients.keys()], [...next.clients.keys()]) &&
    [...next.clients].every(([client, accounts]) => sameMembers(previous.clients.get(client) ?? [], accounts));
  return same ? previous : next;
}
