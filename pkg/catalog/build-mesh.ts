import { type ServiceIdentity, toServiceAccount, type TrustDomain } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { MeshSettings, ProxyPolicy } from '../policy/proxy-policy.ts';
import type { Outcome, Problem } from '../problem/problem.ts';
import { createSplitChecks, createTargetChecks, externalNames } from './checks.ts';
import { createDirectory } from './directory.ts';
import { createBackings } from './endpoints.ts';
import { createGrants } from './grants.ts';
import { createToHttpMatch, type PathMatch } from './http-match.ts';
import { createInbound, createUses, protocolConflicts } from './inbound.ts';
import { createIndex, createLastRound, createValueIndex } from './lists.ts';
import { createIntern, createStep, sameContent } from './memo.ts';
import type { MeshModel } from './mesh-model.ts';
import { indexNamespaces } from './namespaces.ts';
import { compareText } from './order.ts';
import { createOffers } from './outbound.ts';
import { createPermissions } from './permission.ts';
import { createReaches } from './reach.ts';
import { type AccessObjects, createSmiObjects, type SmiObjects } from './smi-objects.ts';
import type { MeshConfig, MeshSnapshot, Service } from './snapshot.ts';
import { createSourceChecks } from './source-checks.ts';
import { createSplitPlan } from './traffic-split.ts';
import { createWorkloadIndex, type Workloads } from './workloads.ts';

export interface MeshBuilder {
  /**
   * What a snapshot means. The result depends on the snapshot alone; what did not change since the build before is the
   * same object as there, down to the maps, and costs next to nothing.
   */
  build(snapshot: MeshSnapshot): Outcome<MeshModel>;
}

/** Builds once: for tools that read a mesh and end. */
export function buildMesh(snapshot: MeshSnapshot): Outcome<MeshModel> {
  return createMeshBuilder().build(snapshot);
}

/**
 * Builds a mesh again and again. One step per question, each done again only when what it looks at changed; inside a
 * step, each object by itself. No step costs services times proxies.
 */
export function createMeshBuilder(): MeshBuilder {
  const toHttpMatch = createToHttpMatch();
  const settingsOf = createStep((previous: MeshSettings | undefined, config: MeshConfig) =>
    keepSettings(previous, config),
  );
  const namespacesOf = createStep((_, ...inputs: Parameters<typeof indexNamespaces>) => indexNamespaces(...inputs));
  const servicesByName = createIndex(({ namespace, name }: Service) => `${namespace}/${name}`);
  const smiObjects = createStep(createSmiObjects());
  const workloadsOf = step(createWorkloadIndex());
  const backingsOf = step(createBackings());
  const usesOf = step(createUses());
  const accessOf = createStep((_: AccessObjects | undefined, ...lists: AccessLists) => toAccess(...lists));
  const grants = createGrants();
  const grantsOf = step((smi: AccessObjects, workloads: Workloads, trustDomain: TrustDomain, pathMatch: PathMatch) =>
    grants({ smi, workloads, trustDomain, pathMatch, toHttpMatch }),
  );
  const inboundOf = step(createInbound());
  const permissionsOf = step(createPermissions());
  const splitsOf = step((splits: SmiObjects['splits'], groups: SmiObjects['groups']) => ({ splits, groups }));
  const planOf = step(createSplitPlan(toHttpMatch));
  const offersOf = step(createOffers());
  const reachesOf = step(createReaches());
  const directoryOf = step(createDirectory());
  const targetChecks = step(createTargetChecks());
  const sourceChecks = step(createSourceChecks());
  const splitChecks = step(createSplitChecks());
  const conflictsOf = step(protocolConflicts);
  const externalsOf = step(externalNames);
  const problemsOf = createStep((_, ...lists: readonly (readonly Problem[])[]) => sorted(lists.flat()));
  /** The latest of each inbound policy; pods that share one have one identity, and so one reach. */
  const policies = new WeakMap<InboundPolicy, ProxyPolicy>();
  const clients = createIntern<InboundPolicy>();
  const lastPods = createLastRound(({ key }: PodEntry) => key);
  const podsOf = createValueIndex(
    ({ key }: PodEntry) => key,
    ({ policy }: PodEntry) => policy,
  );

  return {
    build({ config, namespaces: namespaceList, services, pods: podList, endpointSlices, smi: raws }) {
      const settings = settingsOf(config);
      const trustDomain = settings.trustDomain as TrustDomain;
      const namespaces = namespacesOf(namespaceList, config);
      const smi = smiObjects(raws);
      const { targets, splits, groups, tcpRoutes, udpRoutes, bindings, undecoded } = smi;
      const access = accessOf(targets, groups, tcpRoutes, udpRoutes, bindings, undecoded);
      const workloads = workloadsOf(podList, trustDomain);
      const backings = backingsOf(services, endpointSlices, workloads, namespaces);
      const uses = usesOf(backings);
      const granted = grantsOf(access, workloads, trustDomain, config.pathMatch);
      const inbound = inboundOf(workloads, uses, granted, namespaces);
      const permissions = permissionsOf(backings, inbound, granted, namespaces);
      const plan = planOf(splitsOf(splits, groups), servicesByName(services), config.pathMatch);
      const offers = offersOf(backings, permissions, plan);
      const reaches = reachesOf(offers);
      const directory = directoryOf(backings);

      const policyFor = (own: InboundPolicy): ProxyPolicy => {
        const { identity } = own;
        const reach = reaches.reachOf(identity);
        const before = policies.get(own);
        if (before?.reach === reach && before.settings === settings && before.directory === directory) return before;
        const policy = { identity, settings, inbound: own, reach, directory };
        policies.set(own, policy);
        return policy;
      };
      const entries: PodEntry[] = [];
      for (const [{ key }, own] of inbound) {
        const policy = policyFor(own);
        const before = lastPods.at(entries.length, key);
        entries.push(before?.policy === policy ? before : { key, policy });
      }
      const pods = podsOf(lastPods.keep(entries));

      const policyOf = (identity: ServiceIdentity): ProxyPolicy => {
        const { mode, modeFrom } = namespaces.modeOf(toServiceAccount(identity)?.namespace ?? '');
        const serving = { identity, mode, modeFrom, ports: [], rules: [] };
        return policyFor(clients.get([identity, mode, modeFrom].join(' '), () => serving));
      };

      const findProblems = (): readonly Problem[] =>
        problemsOf(
          ...smi.problems,
          ...backings.map((backing) => backing.problems).filter(isFilled),
          ...granted.all.map((grant) => grant.problems).filter(isFilled),
          plan.problems,
          conflictsOf(uses),
          externalsOf(services),
          targetChecks(granted, access, workloads, uses),
          sourceChecks(granted, workloads, namespaces, trustDomain),
          splitChecks(plan, permissions),
        );
      return outcomeOf({ pods, policyOf }, findProblems);
    },
  };
}

interface PodEntry {
  readonly key: string;
  readonly policy: ProxyPolicy;
}

/** What is wrong is found when it is asked for: the policy goes out before. */
function outcomeOf(value: MeshModel, findProblems: () => readonly Problem[]): Outcome<MeshModel> {
  let problems: readonly Problem[] | undefined;
  return {
    value,
    get problems() {
      return (problems ??= findProblems());
    },
  };
}

/** A step whose function keeps its own memory. */
function step<I extends readonly unknown[], O>(compute: (...inputs: I) => O): (...inputs: I) => O {
  return createStep((_: O | undefined, ...inputs: I) => compute(...inputs));
}

type AccessLists = [
  SmiObjects['targets'],
  SmiObjects['groups'],
  SmiObjects['tcpRoutes'],
  SmiObjects['udpRoutes'],
  SmiObjects['bindings'],
  SmiObjects['undecoded'],
];

function toAccess(...[targets, groups, tcpRoutes, udpRoutes, bindings, undecoded]: AccessLists): AccessObjects {
  return { targets, groups, tcpRoutes, udpRoutes, bindings, undecoded };
}

function isFilled({ length }: readonly Problem[]): boolean {
  return length > 0;
}

function keepSettings(previous: MeshSettings | undefined, config: MeshConfig): MeshSettings {
  const { trustDomain, egress, tracing } = config;
  const settings = { trustDomain, egress, tracing };
  return previous !== undefined && sameContent(previous, settings) ? previous : settings;
}

/** By object, then by place in it, whatever the order in which they were found. */
function sorted(problems: readonly Problem[]): readonly Problem[] {
  const keyOf = ({ resource, field, reason, message }: Problem): string =>
    [resource.namespace, resource.kind, resource.name, field, reason, message].join('\u0000');
  return problems
    .map((problem) => ({ problem, key: keyOf(problem) }))
    .sort((a, b) => compareText(a.key, b.key))
    .map(({ problem }) => problem);
}
