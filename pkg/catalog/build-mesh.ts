import { type ServiceIdentity, toServiceAccount, type TrustDomain } from '../policy/identity.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { MeshSettings, ProxyPolicy } from '../policy/proxy-policy.ts';
import type { Outcome, Problem } from '../problem/problem.ts';
import { createSplitChecks, createTargetChecks } from './checks.ts';
import { createDirectory } from './directory.ts';
import { createBackings } from './endpoints.ts';
import { createGrants } from './grants.ts';
import { createToHttpMatch } from './http-match.ts';
import { createInbound, createUses, protocolConflicts } from './inbound.ts';
import { createIntern, createNumbering, createStep, keepMap, sameContent } from './memo.ts';
import type { MeshModel } from './mesh-model.ts';
import { indexNamespaces } from './namespaces.ts';
import { compareText } from './order.ts';
import { createOffers } from './outbound.ts';
import { createPermissions } from './permission.ts';
import { createReaches } from './reach.ts';
import { createSmiObjects } from './smi-objects.ts';
import type { MeshConfig, MeshSnapshot, Service } from './snapshot.ts';
import { createSplitPlan } from './traffic-split.ts';
import { createWorkloadIndex } from './workloads.ts';

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
  const servicesByName = createStep((_, services: readonly Service[]) => byName(services));
  const smiObjects = createStep(createSmiObjects());
  const workloadsOf = step(createWorkloadIndex());
  const backingsOf = step(createBackings());
  const usesOf = createStep(createUses());
  const grants = createGrants();
  const grantsOf = createStep(
    (
      _,
      smi: Parameters<typeof grants>[0]['smi'],
      workloads: Parameters<typeof grants>[0]['workloads'],
      trustDomain: TrustDomain,
      pathMatch: MeshConfig['pathMatch'],
    ) => grants({ smi, workloads, trustDomain, pathMatch, toHttpMatch }),
  );
  const inboundOf = step(createInbound());
  const permissionsOf = step(createPermissions());
  const planOf = step(createSplitPlan(toHttpMatch));
  const offersOf = step(createOffers());
  const reachesOf = step(createReaches());
  const directoryOf = createStep(createDirectory());
  const targetChecks = step(createTargetChecks());
  const splitChecks = step(createSplitChecks());
  const conflictsOf = step(protocolConflicts);
  const problemsOf = createStep((_, ...lists: readonly (readonly Problem[])[]) => sorted(lists.flat()));
  const policies = createIntern<ProxyPolicy>();
  const clients = createIntern<InboundPolicy>();
  const numberOf = createNumbering();
  let pods: MeshModel['pods'] | undefined;

  return {
    build({ config, namespaces: namespaceList, services, pods: podList, endpointSlices, smi: raws }) {
      const settings = settingsOf(config);
      const trustDomain = settings.trustDomain as TrustDomain;
      const namespaces = namespacesOf(namespaceList, config);
      const smi = smiObjects(raws);
      const workloads = workloadsOf(podList, trustDomain);
      const backings = backingsOf(services, endpointSlices, workloads, namespaces);
      const uses = usesOf(backings);
      const granted = grantsOf(smi, workloads, trustDomain, config.pathMatch);
      const inbound = inboundOf(workloads, uses, granted, namespaces);
      const permissions = permissionsOf(backings, inbound, granted, namespaces);
      const plan = planOf(smi, servicesByName(services), config.pathMatch);
      const offers = offersOf(backings, permissions, plan);
      const reaches = reachesOf(offers);
      const directory = directoryOf(backings);

      const policyFor = (own: InboundPolicy): ProxyPolicy => {
        const { identity } = own;
        const reach = reaches.reachOf(identity);
        const key = [own, reach, settings, directory].map(numberOf).join(' ');
        return policies.get(key, () => ({
          identity,
          settings,
          inbound: own,
          reach,
          directory,
        }));
      };
      pods = keepMap(pods, new Map([...inbound].map(([{ key }, own]) => [key, policyFor(own)])));

      const policyOf = (identity: ServiceIdentity): ProxyPolicy => {
        const { mode, modeFrom } = namespaces.modeOf(toServiceAccount(identity)?.namespace ?? '');
        const serving = { identity, mode, modeFrom, ports: [], rules: [] };
        return policyFor(clients.get([identity, mode, modeFrom].join(' '), () => serving));
      };

      const problems = problemsOf(
        ...smi.problems,
        ...backings.map((backing) => backing.problems),
        ...granted.all.map((grant) => grant.problems),
        plan.problems,
        conflictsOf(uses),
        targetChecks(granted, smi, workloads, uses),
        splitChecks(plan, permissions),
      );
      return { value: { pods, policyOf }, problems };
    },
  };
}

/** A step whose function keeps its own memory. */
function step<I extends readonly unknown[], O>(compute: (...inputs: I) => O): (...inputs: I) => O {
  return createStep((_: O | undefined, ...inputs: I) => compute(...inputs));
}

function byName(services: readonly Service[]): ReadonlyMap<string, Service> {
  return new Map(services.map((service) => [`${service.namespace}/${service.name}`, service]));
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
