import { type ClusterAccess } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';
import type { CheckGroup, CheckReport } from './check-report.ts';

/** The oldest that the chart takes. */
const oldestMinor = 25;
/** From here on init containers may run beside the others (KEP-753). */
const nativeSidecarsMinor = 29;

export interface ClusterVersion {
  readonly minor: number;
  readonly gitVersion: string;
}

/** The API server and the kinds that a mesh reads. */
export async function checkCluster(access: ClusterAccess, report: CheckReport): Promise<void> {
  await checkVersion(access, report.group('cluster'));
  await checkCrds(access, report.group('kinds'), 'after');
}

export async function checkVersion({ cluster, where }: ClusterAccess, group: CheckGroup): Promise<ClusterVersion> {
  const found = await cluster.request<{ readonly major: string; readonly minor: string; readonly gitVersion: string }>(
    'GET',
    '/version',
    { timeoutMs: 10_000 },
  );
  group.ok('the API server answers', where);
  const minor = Number.parseInt(found.minor, 10);
  const version = { minor, gitVersion: found.gitVersion };
  if (minor < oldestMinor)
    group.error('Kubernetes', `${found.gitVersion} is too old`, `Tulle needs 1.${oldestMinor} or later`);
  else if (minor < nativeSidecarsMinor)
    group.warning(
      'Kubernetes',
      `${found.gitVersion} has no native sidecars`,
      `Jobs don't end by themselves beside an ordinary sidecar, and init containers have no mesh: 1.${nativeSidecarsMinor} or later has them`,
    );
  else group.ok('Kubernetes', found.gitVersion);
  return version;
}

interface KnownKind {
  readonly crd: string;
  readonly versions: readonly string[];
  /** Nothing works without it. */
  readonly needed: boolean;
}

const smi = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'];
const kinds: readonly KnownKind[] = [
  { crd: 'traffictargets.access.smi-spec.io', versions: smi, needed: true },
  { crd: 'httproutegroups.specs.smi-spec.io', versions: smi, needed: true },
  { crd: 'tcproutes.specs.smi-spec.io', versions: smi, needed: true },
  { crd: 'trafficsplits.split.smi-spec.io', versions: smi, needed: true },
  { crd: 'udproutes.specs.smi-spec.io', versions: ['v1alpha4'], needed: false },
  { crd: 'identitybindings.access.smi-spec.io', versions: ['v1alpha4'], needed: false },
  { crd: 'meshconfigs.config.openservicemesh.io', versions: ['v1alpha1', 'v1alpha2'], needed: true },
];

interface CrdObject {
  readonly spec: { readonly versions: readonly { readonly name: string; readonly served: boolean }[] };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

export async function checkCrds(
  { cluster, controlNamespace }: ClusterAccess,
  group: CheckGroup,
  when: 'before' | 'after',
): Promise<void> {
  const upgrade = 'helm upgrade with crds.install brings them';
  const complete: string[] = [];
  const missing: KnownKind[] = [];
  for (const kind of kinds) {
    const { crd, versions } = kind;
    let object: CrdObject;
    try {
      object = await cluster.request<CrdObject>(
        'GET',
        `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd}`,
      );
    } catch (error) {
      if (isForbidden(error)) {
        group.warning('CRDs', 'you may not read them', 'ask somebody who may get customresourcedefinitions to check');
        return;
      }
      if (!isAbsent(error)) throw error;
      missing.push(kind);
      continue;
    }
    const served = object.spec.versions.filter((version) => version.served).map(({ name }) => name);
    const lacking = versions.filter((version) => !served.includes(version));
    const established = object.status?.conditions?.some(
      ({ type, status }) => type === 'Established' && status === 'True',
    );
    if (established !== true) group.error(crd, 'is not established', `kubectl describe crd ${crd} says why`);
    else if (lacking.length > 0)
      group.warning(
        crd,
        `serves ${served.join(', ')}, not ${lacking.join(', ')}`,
        when === 'before' ? 'the chart takes it over, and serves all' : upgrade,
      );
    else complete.push(crd);
  }
  if (when === 'after') tellMissing(missing, { controlNamespace, upgrade }, group);
  if (complete.length > 0)
    group.ok(`${complete.length} CRDs serve every version`, complete.map((name) => name.split('.')[0]).join(', '));
  else if (when === 'before') group.ok('CRDs', 'none there yet: the chart brings them');
}

function tellMissing(
  missing: readonly KnownKind[],
  { controlNamespace, upgrade }: { readonly controlNamespace: string; readonly upgrade: string },
  group: CheckGroup,
): void {
  if (missing.length === 0) return;
  const names = missing.map(({ crd }) => crd).join(', ');
  if (missing.length === kinds.length)
    group.error('CRDs', `none of ${kinds.length} is installed`, installHint(controlNamespace));
  else {
    const detail = `${missing.length} of ${kinds.length} are not installed: ${names}`;
    if (missing.some(({ needed }) => needed)) group.error('CRDs', detail, upgrade);
    else group.warning('CRDs', detail, upgrade);
  }
}

/** What brings all of it. */
export function installHint(controlNamespace: string): string {
  return `helm install tulle charts/tulle -n ${controlNamespace} --create-namespace`;
}
