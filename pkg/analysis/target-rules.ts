import { isHttp } from '../catalog/protocol.ts';
import { groupBy } from '../catalog/workloads.ts';
import { coversMatch, isAnyPath } from '../explain/match-cover.ts';
import type { MeshFacts } from '../explain/mesh-facts.ts';
import type { AccessRule, InboundPolicy } from '../policy/inbound.ts';
import type { HttpMatch } from '../policy/match.ts';
import type { TrafficTarget } from '../smi/traffic-target/traffic-target.ts';
import { type AnalysisRule, onEach } from './rule.ts';

interface Opened {
  readonly rule: AccessRule;
  /** Of the pods that it opens. */
  readonly policies: readonly InboundPolicy[];
}

const opened = new WeakMap<MeshFacts, ReadonlyMap<string, Opened>>();

/** The rule that a target became, and where it is in force; undefined: it grants nothing, which is told elsewhere. */
function openedBy(facts: MeshFacts, { namespace, name }: TrafficTarget): Opened | undefined {
  let index = opened.get(facts);
  if (index === undefined) {
    const made = new Map<string, { rule: AccessRule; policies: InboundPolicy[] }>();
    for (const inbound of new Set([...facts.model.pods.values()].map((policy) => policy.inbound))) {
      for (const rule of inbound.rules) {
        const key = `${rule.origin.namespace}/${rule.origin.name}`;
        const known = made.get(key);
        if (known) known.policies.push(inbound);
        else made.set(key, { rule, policies: [inbound] });
      }
    }
    opened.set(facts, (index = made));
  }
  return index.get(`${namespace}/${name}`);
}

/** Targets that open no port there is, or HTTP where no HTTP is spoken. */
export const opensNothing: AnalysisRule = (facts) =>
  onEach(facts.smi.targets, (target, report) => {
    const own = openedBy(facts, target);
    if (own === undefined) return;
    const { rule, policies } = own;
    const ports = policies.flatMap((policy) => policy.ports);
    if (ports.length === 0) return;
    const containerPorts = facts.snapshot.pods
      .filter(
        ({ namespace, serviceAccount }) => namespace === target.namespace && serviceAccount === target.destination.name,
      )
      .flatMap((pod) => pod.ports.map(({ port }) => port));
    const known = [...new Set([...ports.map(({ port }) => port), ...containerPorts])].sort((a, b) => a - b);
    const reached = ports.filter(({ port }) => rule.ports === undefined || rule.ports.includes(port));
    if (reached.length === 0) {
      // A Service port that stands where the workload's is meant is told at the TCPRoute.
      const told = [...known, ...servicePortsOf(facts, ports)];
      if (rule.ports?.some((port) => told.includes(port))) return;
      report('/spec/rules', {
        severity: 'warning',
        reason: 'PortUnused',
        message: `it opens port ${rule.ports?.join(', ')}, and the workload has ${known.join(', ')}, so it lets nothing pass`,
        fix: 'name a port of the workload in the TCPRoute',
      });
    } else if (rule.http && !reached.some(({ protocol }) => isHttp(protocol))) {
      report('/spec/rules', {
        severity: 'warning',
        reason: 'HttpRulesOnTcp',
        message: `port ${reached.map(({ port, protocol }) => `${port} speaks ${protocol}`).join(', ')}: rules for HTTP match nothing there`,
        fix: 'use a TCPRoute alone, or set appProtocol: http on the Service port',
      });
    }
  });

function servicePortsOf({ snapshot }: MeshFacts, ports: InboundPolicy['ports']): readonly number[] {
  const names = new Set(ports.flatMap(({ services }) => services));
  const services = snapshot.services.filter(({ namespace, name }) => names.has(`${namespace}/${name}`));
  return services.flatMap((service) => service.ports.map(({ port }) => port));
}

/** Targets that leave nothing closed to their sources; said, not blamed. */
export const opensEverything: AnalysisRule = (facts) =>
  onEach(facts.smi.targets, (target, report) => {
    const rule = openedBy(facts, target)?.rule;
    if (rule === undefined || rule.ports !== undefined) return;
    const all = rule.http?.find(({ path, methods, headers }) => isAnyPath(path) && !methods && !headers);
    if (rule.http && all === undefined) return;
    const what = all
      ? `match "${all.name}" is any HTTP request, on any port`
      : 'it names no port and no request, so every port is open';
    report('/spec/rules', {
      severity: 'info',
      reason: 'OpensEverything',
      message: `${what}, to its ${rule.sources.length === 1 ? 'source' : `${rule.sources.length} sources`}`,
      fix: 'name ports in the TCPRoute, or a path and methods in the match, if less is meant',
    });
  });

/** Targets that let pass nothing that another doesn't. */
export const redundantTargets: AnalysisRule = (facts) => {
  const inForce = facts.smi.targets.flatMap((target) => {
    const own = openedBy(facts, target);
    return own && !own.rule.shadow ? [{ target, ...own }] : [];
  });
  const byNamespace = groupBy(inForce, ({ target }) => [target.namespace]);
  const byTarget = new Map(inForce.map((own) => [own.target, own]));
  return onEach(byTarget.keys(), (target, report) => {
    const own = byTarget.get(target);
    const wider = byNamespace.get(target.namespace)?.find((each) => {
      if (own === undefined || each === own || !coversRule(each, own)) return false;
      return !coversRule(own, each) || each.target.name < target.name;
    });
    if (wider === undefined) return;
    report('/metadata/name', {
      severity: 'warning',
      reason: 'TargetRedundant',
      message: `TrafficTarget "${wider.target.name}" lets pass all that it does: removing it would change nothing`,
      fix: 'remove it, or narrow the other one if that is too wide',
    });
  });
};

function coversRule(a: Opened, b: Opened): boolean {
  const ports = a.rule.ports === undefined || (b.rule.ports?.every((port) => a.rule.ports?.includes(port)) ?? false);
  const sources = b.rule.sources.every((source) => a.rule.sources.includes(source));
  const pods = b.policies.every((policy) => a.policies.includes(policy));
  return ports && sources && pods && coversHttp(a.rule.http, b.rule.http);
}

function coversHttp(a: readonly HttpMatch[] | undefined, b: readonly HttpMatch[] | undefined): boolean {
  if (a === undefined) return true;
  return b !== undefined && b.every((match) => a.some((wider) => coversMatch(wider, match)));
}

/** Rehearsals that are still on. */
export const rehearsals: AnalysisRule = ({ smi }) =>
  onEach(smi.targets, ({ shadow }, report) => {
    if (!shadow) return;
    report('/metadata/annotations', {
      severity: 'info',
      reason: 'RehearsalLeft',
      message: 'it is a rehearsal (tulle.dev/mode: shadow): it grants nothing, and what it would grant is reported',
      fix: 'remove the annotation once it shall be in force',
    });
  });
