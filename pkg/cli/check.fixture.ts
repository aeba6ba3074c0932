import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CheckResult } from './check-report.ts';
import { type FakeCluster, type FakeObject, startFakeCluster } from './fake-cluster.fixture.ts';
import { type Ran, runTulle } from './run-tulle.fixture.ts';

const smi = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'];
const crds: Readonly<Record<string, readonly string[]>> = {
  'traffictargets.access.smi-spec.io': smi,
  'httproutegroups.specs.smi-spec.io': smi,
  'tcproutes.specs.smi-spec.io': smi,
  'trafficsplits.split.smi-spec.io': smi,
  'udproutes.specs.smi-spec.io': ['v1alpha4'],
  'identitybindings.access.smi-spec.io': ['v1alpha4'],
  'meshconfigs.config.openservicemesh.io': ['v1alpha1', 'v1alpha2'],
};

/** What an install brings. */
export function installed(caBundle: string): Record<string, FakeObject> {
  const place = '/api/v1/namespaces/tulle-system';
  const metadata = { name: 'tulle-controller', namespace: 'tulle-system', labels: { app: 'tulle-controller' } };
  return {
    '/apis/apps/v1/namespaces/tulle-system/deployments/tulle-controller': {
      metadata: { ...metadata, labels: { 'app.kubernetes.io/version': '0.1.0' } },
      spec: { replicas: 2, template: { spec: { containers: [{ image: 'tulle/controller:0.1.0' }] } } },
      status: { readyReplicas: 2 },
    },
    [`${place}/services/tulle-controller`]: { metadata, spec: { selector: { app: 'tulle-controller' } } },
    [`${place}/pods/tulle-controller-1`]: {
      metadata: { ...metadata, name: 'tulle-controller-1' },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    },
    [`${place}/configmaps/tulle-controller`]: { metadata, data: { 'config.json': '{}' } },
    '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/tulle-injector-osm': {
      metadata: { name: 'tulle-injector-osm' },
      webhooks: [{ name: 'a', clientConfig: { caBundle } }],
    },
    ...Object.fromEntries(
      Object.entries(crds).map(([name, versions]) => [
        `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`,
        {
          metadata: { name },
          spec: { versions: versions.map((version) => ({ name: version, served: true })) },
          status: { conditions: [{ type: 'Established', status: 'True' }] },
        },
      ]),
    ),
  };
}

/** A root that lasts 100 days, as a webhook configuration has it. Its files are left in the directory. */
export function makeCaBundle(dir: string): string {
  const files = ['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'ca.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  execFileSync('openssl', ['req', '-x509', ...kind, '-nodes', '-days', '100', '-subj', '/CN=ca', ...files], {
    stdio: 'ignore',
  });
  return readFileSync(join(dir, 'ca.pem')).toString('base64');
}

export const wellMesh = {
  mode: 'permissive',
  modeFrom: 'chart value mode',
  trustDomain: 'cluster.local',
  proxies: [],
  problems: [],
};

/** A cluster with an install that is well, to look at without traffic. */
export interface InstalledCluster {
  readonly cluster: FakeCluster;
  /** What the control plane says of the mesh, beside what is well. */
  report: Record<string, unknown>;
  /** `tulle check --no-traffic`. */
  check(...argv: readonly string[]): Promise<Ran>;
  /** What it finds, of one group. */
  find(group: string): Promise<readonly CheckResult[]>;
  close(): Promise<void>;
}

export async function startInstalledCluster(): Promise<InstalledCluster> {
  const cwd = mkdtempSync(join(tmpdir(), 't-'));
  const cluster = await startFakeCluster(installed(makeCaBundle(cwd)));
  cluster.objects.set('/version', { metadata: { name: '' }, minor: '34', gitVersion: 'v1.34.4' });
  const controller = createServer((_request, response) => {
    response.end(JSON.stringify({ ...wellMesh, ...mine.report }));
  });
  await new Promise<void>((resolve) => controller.listen(0, '127.0.0.1', resolve));
  cluster.forwards.set('tulle-system/tulle-controller-1:9092', (controller.address() as AddressInfo).port);
  writeFileSync(join(cwd, 'config'), cluster.kubeconfig());
  const check = (...argv: readonly string[]): Promise<Ran> =>
    runTulle({ cwd }, 'check', '--no-traffic', ...argv, '--kubeconfig', join(cwd, 'config'));
  const mine: InstalledCluster = {
    cluster,
    report: {},
    check,
    async find(group) {
      const { out } = await check('-o', 'json');
      const { checks } = JSON.parse(out) as { readonly checks: readonly CheckResult[] };
      return checks.filter((each) => each.group === group);
    },
    async close() {
      controller.close();
      await cluster.close();
      rmSync(cwd, { recursive: true });
    },
  };
  return mine;
}
