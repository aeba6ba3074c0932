import type { AppProtocol, InboundPolicy, InboundPort } from '../policy/inbound.ts';
import type { Problem } from '../problem/problem.ts';
import type { Backing } from './endpoints.ts';
import type { Grants } from './grants.ts';
import { createGroups, createLastRound, createValueIndex } from './lists.ts';
import { createIntern, createNumbering } from './memo.ts';
import type { Namespaces } from './namespaces.ts';
import { compareName, compareText } from './order.ts';
import { isHttp } from './protocol.ts';
import type { Workload, Workloads } from './workloads.ts';

/** One Service port that leads to a port of a workload. */
export interface PortUse {
  readonly port: number;
  readonly backing: Backing;
}

export type PortUses = ReadonlyMap<Workload, readonly PortUse[]>;

/** Which Service ports lead to which workloads: the endpoints, seen from the other end. Lists that did not change stay. */
export function createUses(): (backings: readonly Backing[]) => PortUses {
  const known = new WeakMap<Backing, readonly (readonly [Workload, PortUse])[]>();

  function usesOf(backing: Backing): readonly (readonly [Workload, PortUse])[] {
    const last = known.get(backing);
    if (last) return last;
    const uses: [Workload, PortUse][] = [];
    for (const { workload, endpoint } of backing.members) {
      if (workload) uses.push([workload, { port: endpoint.port, backing }]);
    }
    for (const { workload, port } of backing.starting) uses.push([workload, { port, backing }]);
    known.set(backing, uses);
    return uses;
  }

  return createGroups(
    usesOf,
    ({ backing: a }, { backing: b }) => compareName(a.service, b.service) || a.index - b.index,
  );
}

export type InboundPolicies = ReadonlyMap<Workload, InboundPolicy>;

/** Builds what every meshed pod accepts. Pods with the same identity, ports, mode and rules share one policy. */
export function createInbound(): (
  workloads: Workloads,
  uses: PortUses,
  grants: Grants,
  namespaces: Namespaces,
) => InboundPolicies {
  const portLists = createIntern<readonly InboundPort[]>();
  const policies = createIntern<InboundPolicy>();
  const numberOf = createNumbering();
  const portsOfUses = new WeakMap<readonly PortUse[], readonly InboundPort[]>();
  const lastRound = createLastRound(({ workload }: Entry) => workload.key);
  const policiesOf = createValueIndex(
    ({ workload }: Entry) => workload,
    ({ policy }: Entry) => policy,
  );

  function portsOf(uses: readonly PortUse[]): readonly InboundPort[] {
    const known = portsOfUses.get(uses);
    if (known !== undefined) return known;
    const ports = toPorts(uses);
    const shared = portLists.get(JSON.stringify(ports), () => ports);
    portsOfUses.set(uses, shared);
    return shared;
  }

  return (workloads, uses, grants, namespaces) => {
    const entries: Entry[] = [];
    for (const workload of workloads.all) {
      if (!workload.meshed) continue;
      const { identity, pod, key } = workload;
      const { mode, modeFrom } = namespaces.modeOf(pod.namespace);
      const ports = portsOf(uses.get(workload) ?? none);
      const rules = grants.rulesFor(workload);
      const before = lastRound.at(entries.length, key);
      const last = before?.workload === workload ? before.policy : undefined;
      const isSame = last?.ports === ports && last.rules === rules && last.mode === mode && last.modeFrom === modeFrom;
      if (isSame && before) entries.push(before);
      else entries.push({ workload, policy: policyOf({ identity, mode, modeFrom, ports, rules }) });
    }
    return policiesOf(lastRound.keep(entries));
  };

  function policyOf(policy: InboundPolicy): InboundPolicy {
    const { identity, mode, modeFrom, ports, rules } = policy;
    const key = [identity, mode, modeFrom, numberOf(ports), numberOf(rules)].join(' ');
    return policies.get(key, () => policy);
  }
}

interface Entry {
  readonly workload: Workload;
  readonly policy: InboundPolicy;
}

const none: readonly PortUse[] = [];

function toPorts(uses: readonly PortUse[]): readonly InboundPort[] {
  const byPort = new Map<number, { protocol: AppProtocol; services: Set<string> }>();
  for (const { port, backing } of uses) {
    const { protocol, service } = backing;
    const name = `${service.namespace}/${service.name}`;
    const known = byPort.get(port);
    if (known) {
      known.services.add(name);
      known.protocol = stricter(known.protocol, protocol);
    } else {
      byPort.set(port, { protocol, services: new Set([name]) });
    }
  }
  return [...byPort]
    .map(([port, { protocol, services }]) => ({
      port,
      protocol,
      services: [...services].sort(compareText),
    }))
    .sort((a, b) => a.port - b.port);
}

/** Where Services disagree on one port: what can be looked into deepest, so that no condition is passed by. */
function stricter(a: AppProtocol, b: AppProtocol): AppProtocol {
  const order: readonly AppProtocol[] = ['grpc', 'http', 'tcp', 'tcp-server-first'];
  return order.find((protocol) => protocol === a || protocol === b) ?? a;
}

/** Service ports that lead to one workload port and say different things of what it speaks. */
export function protocolConflicts(uses: PortUses): readonly Problem[] {
  const problems = new Map<string, Problem>();
  for (const list of uses.values()) {
    if (list.length < 2) continue;
    for (const { port, backing } of list) {
      const other = list.find((use) => use.port === port && isHttp(use.backing.protocol) !== isHttp(backing.protocol));
      if (other === undefined || isHttp(backing.protocol)) continue;
      const { namespace, name, ports } = backing.service;
      const index = ports.findIndex((candidate) => candidate.port === backing.port);
      const { service, protocol } = other.backing;
      const message = `Service "${service.name}" says that port ${port} of the workload speaks ${protocol}, this one ${backing.protocol}`;
      const known = problems.get(backing.key);
      // The same whichever workload is asked first.
      if (known && known.message <= message) continue;
      problems.set(backing.key, {
        resource: { apiVersion: 'v1', kind: 'Service', namespace, name },
        field: `/spec/ports/${index}`,
        severity: 'warning',
        reason: 'ProtocolConflict',
        message,
        fix: 'give both the same appProtocol',
      });
    }
  }
  return [...problems.values()];
}
