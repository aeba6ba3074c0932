import { X509Certificate } from 'node:crypto';
import type { MeshReport } from '../dashboard/dashboard.ts';
import type { Problem } from '../problem/problem.ts';
import { type ClusterAccess } from './cluster-access.ts';
import { isAbsent, isForbidden } from './cluster-answers.ts';
import { type MeshSettings, readMeshSettings } from './cluster-settings.ts';
import { installHint } from './check-cluster.ts';
import type { CheckGroup, CheckReport } from './check-report.ts';
import { CliError, type CliContext } from './context.ts';
import { type ControllerApi, controllerService, openControllerApi } from './controller-api.ts';

/** The control plane, as far as it answers. */
export interface ControlPlane {
  readonly api: ControllerApi;
  /** What each of its pods says. */
  readonly reports: readonly MeshReport[];
  readonly settings: MeshSettings;
  readonly image: string;
  readonly pullPolicy: string;
  readonly version?: string;
}

interface Deployment {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly image: string; readonly imagePullPolicy?: string }[];
      };
    };
  };
  readonly status?: { readonly readyReplicas?: number; readonly updatedReplicas?: number };
}

/** Undefined: it does not answer, and nothing behind it can be looked at. */
export async function checkControlPlane(
  context: CliContext,
  access: ClusterAccess,
  report: CheckReport,
): Promise<ControlPlane | undefined> {
  const group = report.group('control plane');
  const deployment = await readDeployment(access, group);
  if (deployment === undefined) return undefined;
  const version = deployment.metadata.labels?.['app.kubernetes.io/version'];
  checkVersions(context, version, group);
  await checkWebhook(access, group);
  const settings = await readMeshSettings(access);
  let api: ControllerApi;
  let reports: readonly MeshReport[];
  try {
    api = await openControllerApi(access);
    reports = await api.getEach<MeshReport>('/api/mesh');
  } catch (error) {
    if (!(error instanceof CliError) && !isForbidden(error)) throw error;
    group.error(
      'API',
      error.message,
      isForbidden(error)
        ? `you need create on pods/portforward in ${access.controlNamespace}: the ClusterRole edit gives it`
        : `kubectl logs -n ${access.controlNamespace} deployment/${controllerService}`,
    );
    return undefined;
  }
  const [first] = reports;
  if (first === undefined) return undefined;
  checkMode(first, group);
  group.ok('trust domain', first.trustDomain);
  const [container] = deployment.spec.template.spec.containers;
  return {
    api,
    reports,
    settings,
    image: container?.image ?? '',
    pullPolicy: container?.imagePullPolicy ?? 'IfNotPresent',
    ...(version !== undefined && { version }),
  };
}

/** That the MeshConfig, or a namespace, names no mode: it has a line of its own. */
export function isAboutMode({ resource, field, reason }: Problem): boolean {
  const isModed = resource.kind === 'MeshConfig' || resource.kind === 'Namespace';
  return isModed && reason === 'FieldInvalid' && field.endsWith('/tulle.dev~1mode');
}

function checkMode({ mode, modeFrom, problems }: MeshReport, group: CheckGroup): void {
  const wrong = problems.find((problem) => problem.resource.kind === 'MeshConfig' && isAboutMode(problem));
  if (wrong === undefined)
    group.ok('mode', `${mode}, by ${modeFrom}${mode === 'permissive' ? ': nothing is denied' : ''}`);
  else group.error('mode', `${mode}, by ${modeFrom}: ${wrong.message}`, wrong.fix);
}

async function readDeployment(
  { cluster, controlNamespace }: ClusterAccess,
  group: CheckGroup,
): Promise<Deployment | undefined> {
  let deployment: Deployment;
  try {
    deployment = await cluster.request<Deployment>(
      'GET',
      `/apis/apps/v1/namespaces/${controlNamespace}/deployments/${controllerService}`,
    );
  } catch (error) {
    if (!isAbsent(error)) throw error;
    group.error(
      'Deployment',
      `there is no ${controllerService} in namespace ${controlNamespace}`,
      `${installHint(controlNamespace)}; --control-namespace says where else it is`,
    );
    return undefined;
  }
  const wanted = deployment.spec.replicas ?? 1;
  const ready = deployment.status?.readyReplicas ?? 0;
  if (wanted === 0) {
    group.error(
      'Deployment',
      'is scaled to 0: no pod starts in meshed namespaces, and sidecars keep the policy that they had',
      `kubectl scale -n ${controlNamespace} deployment/${controllerService} --replicas=2`,
    );
    return undefined;
  }
  const look = `kubectl get pods -n ${controlNamespace}; kubectl logs -n ${controlNamespace} deployment/${controllerService}`;
  if (ready === 0) {
    group.error('Deployment', `none of ${wanted} pods is ready`, look);
    return undefined;
  }
  if (ready < wanted) group.warning('Deployment', `${ready} of ${wanted} pods are ready`, look);
  else if (wanted === 1)
    group.warning(
      'Deployment',
      'one pod: no pod starts in a meshed namespace while it is away',
      'helm upgrade with --set replicas=2',
    );
  else group.ok('Deployment', `${ready} pods are ready`);
  return deployment;
}

function checkVersions({ version: own }: CliContext, version: string | undefined, group: CheckGroup): void {
  if (version === undefined || version === own || own === 'development') group.ok('version', version ?? 'not told');
  else group.warning('version', `${version}, and this command is ${own}`, 'use the two in the same version');
}

interface WebhookConfiguration {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig?: {
      readonly caBundle?: string;
      readonly service?: { readonly namespace: string; readonly name: string };
    };
  }[];
}

async function checkWebhook({ cluster, controlNamespace, meshName }: ClusterAccess, group: CheckGroup): Promise<void> {
  const name = `tulle-injector-${meshName}`;
  let webhooks: WebhookConfiguration['webhooks'];
  try {
    ({ webhooks } = await cluster.request<WebhookConfiguration>(
      'GET',
      `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${name}`,
    ));
  } catch (error) {
    if (isForbidden(error)) {
      group.warning('injector', 'you may not read its configuration', `get mutatingwebhookconfigurations is needed`);
      return;
    }
    if (!isAbsent(error)) throw error;
    group.error(
      'injector',
      `there is no MutatingWebhookConfiguration ${name}`,
      'helm upgrade brings it; --mesh-name says another mesh',
    );
    return;
  }
  const bundles = (webhooks ?? []).map(({ clientConfig }) => clientConfig?.caBundle ?? '');
  if (bundles.length === 0 || bundles.some((bundle) => bundle === '')) {
    group.error(
      'injector',
      `the controller has not written its caBundle: pods of meshed namespaces are refused`,
      `kubectl logs -n ${controlNamespace} deployment/${controllerService}; it needs patch on ${name}`,
    );
    return;
  }
  group.ok('injector', 'its caBundle is set');
  checkExpiry(bundles[0] ?? '', group);
}

const dayMs = 86_400_000;

/** Roots are trusted as long as one of them lives: the one that lives longest counts. */
function checkExpiry(bundle: string, group: CheckGroup): void {
  const pem = Buffer.from(bundle, 'base64').toString('utf8');
  const ends = (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((text) =>
    Date.parse(new X509Certificate(text).validTo),
  );
  if (ends.length === 0) {
    group.error('CA', 'its caBundle has no certificate', 'restart the controller, which writes it');
    return;
  }
  const end = Math.max(...ends);
  const days = Math.floor((end - Date.now()) / dayMs);
  const until = `until ${new Date(end).toISOString().slice(0, 10)}`;
  const roots = ends.length === 1 ? '' : `, ${ends.length} roots`;
  if (days < 0) group.error('CA', `expired ${until.replace('until', 'on')}`, 'put a new root in its Secret');
  else if (days < 30) group.warning('CA', `${until}, ${days} days${roots}`, 'a root is renewed before that');
  else group.ok('CA', `${until}, ${days} days${roots}`);
}
