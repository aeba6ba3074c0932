import type { MeshFacts } from '../explain/mesh-facts.ts';
import type { Pod, Service } from '../catalog/snapshot.ts';
import { rootServiceOf } from '../smi/traffic-split/root-service.ts';
import type { TrafficSplit } from '../smi/traffic-split/traffic-split.ts';
import { type AnalysisRule, onEach } from './rule.ts';

function serviceNamed({ snapshot }: MeshFacts, namespace: string, name: string): Service | undefined {
  return snapshot.services.find((service) => service.namespace === namespace && service.name === name);
}

function rootOf(facts: MeshFacts, split: TrafficSplit): Service | undefined {
  const root = rootServiceOf(split);
  return 'name' in root ? serviceNamed(facts, split.namespace, root.name) : undefined;
}

/** Undefined: its endpoints come from elsewhere. */
export function podsOf({ snapshot }: MeshFacts, service: Service): readonly Pod[] | undefined {
  const { namespace, name, selector } = service;
  if (selector === undefined || Object.keys(selector).length === 0) return undefined;
  if (snapshot.endpointSlices.some((slice) => slice.namespace === namespace && slice.service === name))
    return undefined;
  const wanted = Object.entries(selector);
  return snapshot.pods.filter(
    (pod) => pod.namespace === namespace && wanted.every(([key, value]) => pod.labels[key] === value),
  );
}

/** Splits that change nothing for anybody, and why. */
export const splitsWithoutEffect: AnalysisRule = (facts) =>
  onEach(facts.smi.splits, (split, report) => {
    const root = rootOf(facts, split);
    if (root === undefined) return;
    const groups = split.matches?.map(({ name }) => facts.smi.groups.get(`${split.namespace}/${name}`));
    if (groups?.every((group) => group !== undefined) && groups.every((group) => group?.matches.length === 0)) {
      report('/spec/matches', {
        severity: 'warning',
        reason: 'SplitMatchesNothing',
        message: 'the HTTPRouteGroups that it names have no valid match, so no request is split',
        fix: 'add a match to them, or leave matches out to split all requests',
      });
    }
    const taking = split.backends.filter(({ weight }) => weight > 0);
    if (taking.length > 0 && taking.every(({ service }) => service === root.name)) {
      report('/spec/backends', {
        severity: 'info',
        reason: 'SplitWithoutEffect',
        message: `only the root itself has weight, so it is as if there were no split`,
        fix: 'give another backend a weight once it shall take traffic',
      });
    }
    for (const { service, index, weight } of split.backends) {
      const other = facts.smi.splits.find(
        (each) => each !== split && rootOf(facts, each)?.name === service && each.namespace === split.namespace,
      );
      if (weight === 0 || other === undefined || service === root.name) continue;
      report(`/spec/backends/${index}/service`, {
        severity: 'warning',
        reason: 'SplitChained',
        message: `"${service}" is the root of TrafficSplit "${other.name}", which does not count here: splits do not chain`,
        fix: 'name its backends here, with their weights',
      });
    }
  });

/** Selectors that make a split mean something else than its weights say. */
export const splitSelectors: AnalysisRule = (facts) =>
  onEach(facts.smi.splits, (split, report) => {
    const root = rootOf(facts, split);
    if (root === undefined || facts.snapshot.pods.every(({ namespace }) => namespace !== split.namespace)) return;
    const seen: { service: Service; pods: string }[] = [];
    let anyPods = false;
    for (const { service: name, index, weight } of split.backends) {
      const service = serviceNamed(facts, split.namespace, name);
      const pods = service && podsOf(facts, service);
      if (service === undefined || pods === undefined) continue;
      anyPods ||= pods.length > 0;
      if (pods.length === 0 && weight > 0) {
        report(`/spec/backends/${index}/service`, {
          severity: 'warning',
          reason: 'BackendWithoutPods',
          message: `no pod has the labels that Service "${name}" selects, so its share is answered with 503`,
          fix: "correct its selector or the pods' labels, or set this weight to 0",
        });
      }
      const key = pods
        .map((pod) => pod.name)
        .sort()
        .join(' ');
      const twin = seen.find((each) => each.pods === key && key !== '');
      if (twin && name !== root.name && twin.service.name !== root.name) {
        report(`/spec/backends/${index}/service`, {
          severity: 'warning',
          reason: 'BackendsSamePods',
          message: `Services "${twin.service.name}" and "${name}" select the same pods, so the weights between them mean nothing`,
          fix: 'add the label that tells the versions apart to their selectors',
        });
      }
      seen.push({ service, pods: key });
    }
    const rootPods = podsOf(facts, root);
    if (anyPods && rootPods?.length === 0) {
      const matches =
        split.matches === undefined
          ? 'callers without a sidecar find nobody'
          : 'requests that fit no match are answered with 503';
      report('/spec/service', {
        severity: 'warning',
        reason: 'RootSelectsNothing',
        message: `Service "${root.name}" selects no pod, not even those of its backends: ${matches}`,
        fix: 'let its selector have only the labels that all versions share',
      });
    }
  });
