import { toServiceIdentity, type TrustDomain } from '../policy/identity.ts';
import type { Problem } from '../problem/problem.ts';
import type { IdentitySubject, TrafficTarget } from '../smi/traffic-target/traffic-target.ts';
import type { TargetGrant } from './access-rule.ts';
import type { Grants } from './grants.ts';
import { createMemo, keepMap } from './memo.ts';
import type { Namespaces } from './namespaces.ts';
import { isNear } from './near-names.ts';
import { compareText } from './order.ts';
import { createReporter, type Reporter } from './report.ts';
import type { Workloads } from './workloads.ts';

/** By account, the first namespace, by name, in which a pod runs as it. */
type Homes = ReadonlyMap<string, string>;

interface UnknownSource {
  readonly index: number;
  readonly source: IdentitySubject;
}

/**
 * Sources of TrafficTargets that nobody runs as: the commonest cause of a 403 that nobody understands. Only of accounts in
 * meshed namespaces; of a namespace without any pod nothing is known, so there the name has to be that of another's.
 */
export function createSourceChecks(): (
  grants: Grants,
  workloads: Workloads,
  namespaces: Namespaces,
  trustDomain: TrustDomain,
) => readonly Problem[] {
  const memo = createMemo<TargetGrant, readonly Problem[]>();
  let homes: Homes = new Map();
  return ({ all }, workloads, namespaces, trustDomain) => {
    const problems: Problem[] = [];
    let isCurrent = false;
    for (const grant of all) {
      const unknown = unknownSources(grant.target, workloads, namespaces, trustDomain);
      if (unknown.length === 0) continue;
      if (!isCurrent) homes = keepMap(homes, homesOf(workloads));
      isCurrent = true;
      const places = unknown.map(({ source: { namespace } }) => workloads.inNamespace(namespace));
      const inputs = [homes, ...unknown.map(({ index }) => index), ...places];
      problems.push(
        ...memo.get(grant, inputs, () => {
          const reporter = createReporter(grant.target);
          for (const each of unknown) reportUnknown(each, grant.target, workloads, homes, reporter);
          return reporter.problems;
        }),
      );
    }
    memo.sweep();
    return problems;
  };
}

function unknownSources(
  { sources }: TrafficTarget,
  workloads: Workloads,
  namespaces: Namespaces,
  trustDomain: TrustDomain,
): readonly UnknownSource[] {
  return sources.flatMap((source, index) => {
    const { kind, namespace, name, broken } = source;
    const isJudged = kind === 'ServiceAccount' && broken !== true && namespaces.isMeshed(namespace);
    if (!isJudged || workloads.byIdentity.has(toServiceIdentity(trustDomain, { namespace, name }))) return [];
    return [{ index, source }];
  });
}

function homesOf({ byIdentity }: Workloads): Homes {
  const homes = new Map<string, string>();
  for (const [first] of byIdentity.values()) {
    if (first === undefined) continue;
    const { serviceAccount, namespace } = first.pod;
    const known = homes.get(serviceAccount);
    if (known === undefined || compareText(namespace, known) < 0) homes.set(serviceAccount, namespace);
  }
  return homes;
}

function reportUnknown(
  { index, source: { namespace, name } }: UnknownSource,
  { sources }: TrafficTarget,
  workloads: Workloads,
  homes: Homes,
  { report }: Reporter,
): void {
  const accounts = [...new Set(workloads.inNamespace(namespace).map(({ pod }) => pod.serviceAccount))].sort(
    compareText,
  );
  const meant = new Set(sources.filter((other) => other.namespace === namespace).map((other) => other.name));
  const near = accounts.find((known) => !meant.has(known) && !differInNumber(known, name) && isNear(known, name));
  // Every namespace has an account "default".
  const home = name === 'default' ? undefined : homes.get(name);
  if (near !== undefined) {
    report(`/spec/sources/${index}/name`, {
      severity: 'warning',
      reason: 'SourceUnknown',
      message: `nobody in namespace "${namespace}" runs as "${name}", and somebody runs as "${near}"`,
      fix: `write ${near} if that is meant`,
    });
  } else if (home !== undefined) {
    report(`/spec/sources/${index}/namespace`, {
      // Where others run, this one may just not be running, as those of CronJobs.
      severity: accounts.length > 0 ? 'info' : 'warning',
      reason: 'SourceUnknown',
      message: `nobody in namespace "${namespace}" runs as "${name}"; in namespace "${home}" somebody does`,
      fix: `write namespace: ${home} if that is meant`,
    });
  } else if (accounts.length > 0) {
    report(`/spec/sources/${index}/name`, {
      severity: 'info',
      reason: 'SourceUnknown',
      message: `no pod in namespace "${namespace}" runs as ServiceAccount "${name}", so nobody is let in by it yet`,
      fix: `correct the name if one of ${accounts.slice(0, 5).join(', ')} is meant`,
    });
  }
}

/** Versions of one app, of which one is not there yet. */
function differInNumber(a: string, b: string): boolean {
  return a.replace(/\d+/g, '0') === b.replace(/\d+/g, '0');
}
