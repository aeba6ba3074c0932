import { findDestination, findSource } from '../explain/call-parties.ts';
import { explainCall, percent } from '../explain/explain-call.ts';
import type { Explanation } from '../explain/explanation.ts';
import type { MeshFacts } from '../explain/mesh-facts.ts';
import { toCallRequest } from '../explain/request.ts';
import type { PolicyCase } from './policy-case.ts';

export interface CaseResult {
  readonly case: PolicyCase;
  /** Empty: it holds. */
  readonly faults: readonly string[];
  /** Absent: the mesh knows no such caller or Service. */
  readonly explanation?: Explanation;
}

/** Asks each case of the mesh, by `decide`, as `tulle explain` does. */
export function runCase(facts: MeshFacts, one: PolicyCase): CaseResult {
  const source = findSource(facts, one.from);
  if ('fault' in source) return { case: one, faults: [source.fault] };
  const destination = findDestination(facts, one.to, source.value.namespace);
  if ('fault' in destination) return { case: one, faults: [destination.fault] };
  const { entry } = destination.value;
  const { method, path: target, headers } = one;
  const authority = `${entry.name}.${entry.namespace}:${entry.port}`;
  const request = method === undefined ? undefined : toCallRequest({ method, target, headers }, authority);
  const explanation = explainCall(facts, {
    source: source.value,
    destination: destination.value,
    ...(request && { request }),
  });
  return { case: one, faults: faultsOf(one, explanation), explanation };
}

const tolerance = 0.0005;

function faultsOf({ expect, reason, share }: PolicyCase, explanation: Explanation): readonly string[] {
  const { answer, reasons, served, denied, unavailable, nearest, because } = explanation;
  const faults: string[] = [];
  if (answer !== expect) {
    const parts = [`${percent(served)} served`, `${percent(denied)} denied`, `${percent(unavailable)} unavailable`];
    const said = answer === 'partly' ? `it is ${parts.join(', ')}` : `it is ${answer}`;
    const why = nearest ?? because[0];
    faults.push(`expected ${expect}, and ${said}${why ? `: ${why.message}` : ''}`);
  }
  if (reason !== undefined && answer === 'deny' && !reasons.includes(reason)) {
    faults.push(`expected ${reason}, and it is ${reasons.join(', ')}`);
  }
  for (const [backend, wanted] of Object.entries(share ?? {})) {
    const own = explanation.backends.filter(({ service, outcome }) => service === backend && outcome === 'served');
    const is = own.reduce((sum, part) => sum + part.share, 0);
    if (Math.abs(is - wanted) > tolerance)
      faults.push(`expected ${percent(wanted)} at ${backend}, and it is ${percent(is)}`);
  }
  return faults;
}

/** One rule of policy, and whether a case has used it. */
export interface CoveredRule {
  /** `TrafficTarget shop/buy`, `TrafficTarget shop/buy, match read`, `TrafficSplit shop/canary`. */
  readonly name: string;
  readonly object: { readonly kind: string; readonly namespace: string; readonly name: string };
  readonly covered: boolean;
}

/** Every rule in force, and whether some case was let pass by it, or shared by it. */
export function coverageOf(facts: MeshFacts, results: readonly CaseResult[]): readonly CoveredRule[] {
  const used = new Set<string>();
  for (const { explanation } of results) {
    const { split, backends = [] } = explanation ?? {};
    if (split?.matched) used.add(`TrafficSplit ${split.origin.namespace}/${split.origin.name}`);
    for (const { targets, outcome } of backends) {
      for (const { origin, held, matches = [] } of targets) {
        if (!held || outcome !== 'served') continue;
        const name = `TrafficTarget ${origin.namespace}/${origin.name}`;
        used.add(name);
        for (const match of matches) if (match.held) used.add(`${name}, match ${match.name}`);
      }
    }
  }
  const rules = new Map<string, CoveredRule>();
  const note = (name: string, object: CoveredRule['object']): void => {
    rules.set(name, { name, object, covered: used.has(name) });
  };
  for (const { inbound, reach } of facts.model.pods.values()) {
    for (const { origin, http } of inbound.rules) {
      const name = `TrafficTarget ${origin.namespace}/${origin.name}`;
      if (http === undefined) note(name, origin);
      for (const match of http ?? []) note(`${name}, match ${match.name}`, origin);
    }
    for (const { routes } of reach.outbound.values()) {
      for (const { origin } of routes) if (origin) note(`${origin.kind} ${origin.namespace}/${origin.name}`, origin);
    }
  }
  return [...rules.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
