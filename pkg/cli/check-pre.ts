import { type ClusterAccess } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';
import { checkCrds, checkVersion } from './check-cluster.ts';
import type { CheckGroup, CheckReport } from './check-report.ts';

/** What the chart creates: who installs it needs these rights. */
const needed = [
  { verb: 'create', group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' },
  { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'clusterroles' },
  { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'clusterrolebindings' },
  { verb: 'create', group: 'admissionregistration.k8s.io', resource: 'mutatingwebhookconfigurations' },
  { verb: 'create', group: '', resource: 'namespaces' },
  { verb: 'create', group: 'apps', resource: 'deployments', namespaced: true },
  { verb: 'create', group: '', resource: 'configmaps', namespaced: true },
  { verb: 'create', group: '', resource: 'secrets', namespaced: true },
] as const;

/** `tulle check --pre`: whether a cluster can take the chart. */
export async function checkBeforeInstall(access: ClusterAccess, report: CheckReport): Promise<void> {
  const group = report.group('cluster');
  await checkVersion(access, group);
  await checkNodes(access, group);
  await checkCrds(access, report.group('kinds'), 'before');
  await checkRights(access, report.group('your rights'));
  await checkNeighbours(access, report.group('other meshes'));
}

async function checkNodes({ cluster }: ClusterAccess, group: CheckGroup): Promise<void> {
  try {
    const { items } = await cluster.request<{
      readonly items: readonly {
        readonly status?: {
          readonly nodeInfo?: { readonly operatingSystem: string };
          readonly conditions?: readonly { readonly type: string; readonly status: string }[];
        };
      }[];
    }>('GET', '/api/v1/nodes');
    const linux = items.filter(({ status }) => status?.nodeInfo?.operatingSystem === 'linux');
    const ready = linux.filter(({ status }) =>
      status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    );
    if (ready.length === 0) group.error('nodes', 'no Linux node is ready', 'kubectl get nodes');
    else group.ok('nodes', `${ready.length} of ${linux.length} Linux nodes are ready`);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    group.warning('nodes', 'you may not list them', 'the control plane needs one that runs Linux');
  }
}

async function checkRights({ cluster, controlNamespace }: ClusterAccess, group: CheckGroup): Promise<void> {
  const asked = await Promise.all(
    needed.map(async (right) => {
      const { verb, group: apiGroup, resource } = right;
      const namespaced = 'namespaced' in right ? { namespace: controlNamespace } : {};
      const { status } = await cluster.request<{ readonly status?: { readonly allowed?: boolean } }>(
        'POST',
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        {
          body: {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SelfSubjectAccessReview',
            spec: { resourceAttributes: { verb, group: apiGroup, resource, ...namespaced } },
          },
        },
      );
      return { name: apiGroup === '' ? resource : `${resource}.${apiGroup}`, allowed: status?.allowed === true };
    }),
  );
  const missing = asked.filter(({ allowed }) => !allowed).map(({ name }) => name);
  if (missing.length === 0) group.ok('you may create all that the chart has');
  else
    group.error(
      'installing',
      `you may not create ${missing.join(', ')}`,
      'the ClusterRole cluster-admin gives all of them',
    );
}

/** Two injectors that want one namespace would both do their work. */
async function checkNeighbours(
  { cluster, meshName, controlNamespace }: ClusterAccess,
  group: CheckGroup,
): Promise<void> {
  interface Webhooks {
    readonly items: readonly {
      readonly metadata: { readonly name: string };
      readonly webhooks?: readonly {
        readonly name: string;
        readonly clientConfig?: { readonly service?: { readonly namespace: string } };
      }[];
    }[];
  }
  let items: Webhooks['items'];
  try {
    ({ items } = await cluster.request<Webhooks>(
      'GET',
      '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
    ));
  } catch (error) {
    if (!isForbidden(error) && !isAbsent(error)) throw error;
    group.warning('other injectors', 'you may not list webhook configurations', 'make sure that no OSM is there');
    return;
  }
  const osm = items.filter(({ webhooks }) => webhooks?.some(({ name }) => name === 'osm-inject.k8s.io'));
  for (const { metadata } of osm)
    group.error(
      'Open Service Mesh',
      `its injector ${metadata.name} is there`,
      `two meshes named "${meshName}" would both inject: osm uninstall mesh, or install Tulle with another meshName`,
    );
  const own = items.find(({ metadata }) => metadata.name === `tulle-injector-${meshName}`);
  const place = own?.webhooks?.[0]?.clientConfig?.service?.namespace;
  if (place !== undefined && place !== controlNamespace)
    group.error(
      'Tulle',
      `a mesh named "${meshName}" is installed in namespace ${place}`,
      'upgrade it there, or install with another meshName',
    );
  else if (place !== undefined)
    group.ok(
      'Tulle',
      `mesh "${meshName}" is installed in ${place} already: helm upgrade, and tulle check without --pre`,
    );
  const others = items.filter(({ metadata }) => /istio|linkerd|consul|kuma/i.test(metadata.name));
  if (others.length > 0)
    group.warning(
      'other meshes',
      others.map(({ metadata }) => metadata.name).join(', '),
      'a pod takes one sidecar: keep their namespaces apart from those of Tulle',
    );
  if (osm.length === 0 && place === undefined && others.length === 0) group.ok('no other mesh');
}
