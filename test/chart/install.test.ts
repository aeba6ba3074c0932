import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { missingForApiServer, startApiServer, type ApiServer } from '../support/api-server.ts';
import { findProgram } from '../support/find-program.ts';
import { chart, mustRun, run, template, toFlags, type KubernetesObject, type Ran, type Settings } from './helm.ts';

const missing = [...missingForApiServer, ...(findProgram('helm') === undefined ? ['helm'] : [])];
const account = 'system:serviceaccount:tulle-system:tulle-controller';

(missing.length === 0 ? describe : describe.skip)(
  `the chart in a real API server${missing.length === 0 ? '' : ` (not installed: ${missing.join(', ')})`}`,
  function () {
    this.timeout(240_000);
    let api: ApiServer;
    const helm = (...args: string[]): Ran => run('helm', args, { kubeconfig: api.kubeconfig });
    const mustHelm = (...args: string[]): string => mustRun('helm', args, { kubeconfig: api.kubeconfig });
    const kubectl = (args: readonly string[], input?: object): Ran =>
      run('kubectl', args, { kubeconfig: api.kubeconfig, ...(input ? { input: JSON.stringify(input) } : {}) });
    const must = (args: readonly string[], input?: object): string =>
      mustRun('kubectl', args, { kubeconfig: api.kubeconfig, ...(input ? { input: JSON.stringify(input) } : {}) });
    const release = (verb: string, settings: Settings, ...flags: string[]): string[] => [
      ...[verb, 'tulle', chart, '-n', 'tulle-system'],
      ...toFlags(settings),
      ...flags,
    ];
    const replicas = (): string =>
      must(['get', 'deployment', 'tulle-controller', '-n', 'tulle-system', '-o', 'jsonpath={.spec.replicas}']);

    before(async () => {
      api = await startApiServer();
    });
    after(() => api.stop());

    describe('where Open Service Mesh was', () => {
      const name = 'trafficsplits.split.smi-spec.io';
      const version = (version: string, served: boolean, schema: object) => ({
        ...{ name: version, served, storage: served },
        schema: { openAPIV3Schema: { type: 'object', ...schema } },
      });
      const backend = { type: 'object', properties: { service: { type: 'string' }, weight: { type: 'number' } } };
      const spec = {
        type: 'object',
        properties: { service: { type: 'string' }, backends: { type: 'array', items: backend } },
      };
      const crd = {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name, labels: { 'app.kubernetes.io/name': 'openservicemesh.io' } },
        spec: {
          group: 'split.smi-spec.io',
          scope: 'Namespaced',
          names: { kind: 'TrafficSplit', plural: 'trafficsplits', shortNames: ['ts'] },
          conversion: { strategy: 'None' },
          versions: [
            version('v1alpha4', false, { 'x-kubernetes-preserve-unknown-fields': true }),
            version('v1alpha2', true, { properties: { spec } }),
          ],
        },
      };

      before(() => {
        must(['create', '-f', '-', '--field-manager=osm-bootstrap'], crd);
        must(['wait', '--for=condition=Established', '--timeout=60s', `crd/${name}`]);
        must(['create', '-f', '-'], {
          apiVersion: 'split.smi-spec.io/v1alpha2',
          kind: 'TrafficSplit',
          metadata: { name: 'kept', namespace: 'default' },
          spec: { service: 'web.default', backends: [{ service: 'web-v1', weight: 100 }] },
        });
      });

      it('takes nothing over that it was not told to', () => {
        const { status, stderr } = helm(...release('install', {}, '--create-namespace'));
        assert.notEqual(status, 0);
        assert.match(stderr, new RegExp(`"${name}" in namespace "" exists and cannot be imported`));
      });

      it('takes the CRDs over when told to, with the objects in them', () => {
        mustHelm(...release('install', {}, '--create-namespace', '--take-ownership', '--force-conflicts'));
        const crds = must(['get', 'crd', '-o', 'name']).trim().split('\n');
        assert.equal(crds.length, template().filter(({ kind }) => kind === 'CustomResourceDefinition').length);
        const path = 'trafficsplits.v1alpha4.split.smi-spec.io';
        const weight = 'jsonpath={.spec.service} {.spec.backends[0].weight}';
        must(['wait', '--for=condition=Established', '--timeout=60s', `crd/${name}`]);
        assert.equal(must(['get', path, 'kept', '-o', weight]), 'web.default 100');
      });
    });

    describe('once it is installed', () => {
      it('installs all that it renders, whatever the values', () => {
        const settings: Settings = {
          ...{ replicas: 3, 'tracing.jaeger.enabled': true, 'ca.existingSecret': 'corporate' },
          priorityClassName: 'system-cluster-critical',
        };
        const autoscaled: Settings = { meshName: 'second', 'autoscaling.enabled': true };
        for (const values of [{}, settings, autoscaled]) {
          const objects = template(values, '--kube-version', '1.34.0', '--set', 'crds.install=false');
          const list = { apiVersion: 'v1', kind: 'List', items: objects };
          must(
            ['apply', '--dry-run=server', '--server-side', '--force-conflicts', '--validate=strict', '-f', '-'],
            list,
          );
        }
      });

      it('has pods that a namespace of Pod Security "restricted" takes', () => {
        const label = 'pod-security.kubernetes.io/enforce=restricted';
        must(['create', 'namespace', 'restricted']);
        must(['label', 'namespace', 'restricted', label]);
        for (const { kind, metadata, spec } of template({ 'tracing.jaeger.enabled': true })) {
          if (kind !== 'Deployment') continue;
          const pod = { apiVersion: 'v1', kind: 'Pod', spec: spec.template.spec };
          must(['create', '--dry-run=server', '-f', '-'], {
            ...pod,
            metadata: { name: metadata.name, namespace: 'restricted' },
          });
        }
      });

      it('upgrades and rolls back beside what the controller writes, without a conflict', () => {
        const webhook = ['mutatingwebhookconfiguration', 'tulle-injector-osm'];
        const authority = () => must(['get', ...webhook, '-o', 'jsonpath={.webhooks[*].clientConfig.caBundle}']);
        const value = someCertificate();
        const body = [0, 1].map((index) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value }));
        const flags = ['--type=json', '--field-manager=tulle-controller', `--as=${account}`];
        must(['patch', ...webhook, ...flags, '-p', JSON.stringify(body)]);
        const written = authority();
        assert.notEqual(written, '');
        mustHelm(...release('upgrade', { replicas: 3, 'injection.webhookTimeoutSeconds': 5 }));
        assert.equal(replicas(), '3');
        assert.equal(authority(), written);
        assert.match(must(['get', 'pdb', '-n', 'tulle-system', '-o', 'name']), /tulle-controller/);
        mustHelm('rollback', 'tulle', '1', '-n', 'tulle-system');
        assert.equal(replicas(), '1');
        assert.equal(authority(), written);
        assert.equal(must(['get', 'pdb', '-n', 'tulle-system', '-o', 'name']), '');
      });
    });

    describe('what an upgrade would break', () => {
      const refused = (settings: Settings, ...flags: string[]): string => {
        const { status, stderr } = helm(...release('upgrade', settings, '--reuse-values', ...flags));
        assert.notEqual(status, 0, `${JSON.stringify(settings)} is taken`);
        return stderr;
      };
      const revision = (): string => mustHelm('list', '-n', 'tulle-system', '-o', 'json');

      it('is not begun with another name of the mesh, and the message says what to do', () => {
        const before = revision();
        const said = refused({ meshName: 'other' });
        assert.match(said, /meshName: the mesh of this release is "osm", and an upgrade can't make it "other"/);
        assert.match(
          said,
          /Leave meshName=osm\. .*helm uninstall tulle -n tulle-system, install again with meshName=other/,
        );
        assert.equal(revision(), before);
        must(['get', 'mutatingwebhookconfiguration', 'tulle-injector-osm']);
        assert.match(refused({ meshName: 'other' }, '--dry-run=server'), /meshName/);
      });

      it('is not begun with a Secret that is not there or is no CA', () => {
        const before = revision();
        const named: Settings = { 'ca.existingSecret': 'corporate' };
        assert.match(refused(named), /ca\.existingSecret: there is no Secret "corporate" in namespace tulle-system/);
        must(['create', 'secret', 'generic', 'corporate', '-n', 'tulle-system', '--from-literal=tls.crt=x']);
        assert.match(refused(named), /Secret "corporate" in namespace tulle-system lacks tls\.crt or tls\.key/);
        assert.equal(revision(), before);
        must(['delete', 'secret', 'corporate', '-n', 'tulle-system']);
      });

      it('leaves the control plane that runs the Secret that it reads, when another is named', () => {
        const literals = ['--from-literal=tls.crt=x', '--from-literal=tls.key=x'];
        must(['create', 'secret', 'generic', 'corporate', '-n', 'tulle-system', ...literals]);
        mustHelm(...release('upgrade', { 'ca.existingSecret': 'corporate' }, '--reuse-values'));
        for (const name of ['corporate', 'tulle-ca']) {
          must(['auth', 'can-i', 'get', `secrets/${name}`, '-n', 'tulle-system', `--as=${account}`]);
        }
        mustHelm(...release('upgrade', { 'ca.existingSecret': '' }, '--reuse-values'));
        must(['delete', 'secret', 'corporate', '-n', 'tulle-system']);
      });

      it('is rendered all the same where no cluster is asked', () => {
        mustHelm(...release('upgrade', { meshName: 'other' }, '--dry-run=client'));
      });
    });

    /** The API server wants a certificate in a caBundle; its own will do. */
    function someCertificate(): string {
      const { clusters } = JSON.parse(readFileSync(api.kubeconfig, 'utf8')) as {
        clusters: { cluster: { 'certificate-authority': string } }[];
      };
      return readFileSync(clusters[0]?.cluster['certificate-authority'] ?? '').toString('base64');
    }

    describe('pods in a meshed namespace while nobody answers the webhook', () => {
      const create = (namespace: string, metadata: object, spec: object = {}): Ran =>
        kubectl(['create', '--dry-run=server', '-f', '-'], {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'pod', namespace, ...metadata },
          spec: { containers: [{ name: 'app', image: 'app' }], ...spec },
        });

      before(() => {
        const namespaces: Readonly<Record<string, readonly string[]>> = {
          meshed: ['tulle.dev/monitored-by=osm'],
          'meshed-as-in-osm': ['openservicemesh.io/monitored-by=osm'],
          'of-another-mesh': ['tulle.dev/monitored-by=second'],
          ignored: ['openservicemesh.io/monitored-by=osm', 'openservicemesh.io/ignore=true'],
          'not-meshed': ['x=y'],
        };
        for (const [name, labels] of Object.entries(namespaces)) {
          must(['create', 'namespace', name]);
          must(['label', 'namespace', name, ...labels]);
        }
        must(['label', 'namespace', 'tulle-system', 'kube-system', 'tulle.dev/monitored-by=osm']);
      });

      it('are refused, by either label', () => {
        for (const namespace of ['meshed', 'meshed-as-in-osm']) {
          const { status, stderr } = create(namespace, {});
          assert.notEqual(status, 0, namespace);
          assert.match(stderr, /failed calling webhook "[a-z-]+\.injector\.tulle\.dev"/);
        }
      });

      it('start when they opted out, by annotation or label, in any spelling that counts', () => {
        const opted = [
          { annotations: { 'openservicemesh.io/sidecar-injection': 'disabled' } },
          { annotations: { 'tulle.dev/sidecar-injection': 'False' } },
          { annotations: { 'tulle.dev/sidecar-injection': 'no', 'openservicemesh.io/sidecar-injection': 'enabled' } },
          { labels: { 'tulle.dev/sidecar-injection': 'disabled' } },
        ];
        for (const metadata of opted) {
          assert.equal(create('meshed', metadata).status, 0, JSON.stringify(metadata));
        }
        const wins = { 'tulle.dev/sidecar-injection': 'enabled', 'openservicemesh.io/sidecar-injection': 'disabled' };
        assert.notEqual(create('meshed', { annotations: wins }).status, 0);
        assert.notEqual(create('meshed', { annotations: { other: 'x' } }).status, 0);
      });

      it('start when they share the network of their node', () => {
        assert.equal(create('meshed', {}, { hostNetwork: true }).status, 0);
      });

      it('start everywhere else, the namespaces of the system and of the control plane above all', () => {
        const free = ['of-another-mesh', 'ignored', 'not-meshed', 'tulle-system', 'kube-system'];
        for (const namespace of free) assert.equal(create(namespace, {}).status, 0, namespace);
        assert.equal(create('meshed', { labels: { 'tulle.dev/control-plane': 'osm' } }).status, 0);
      });
    });

    describe('the controller', () => {
      /** Asks all at once: `VERB RESOURCE[.GROUP][/NAME] [NAMESPACE]`, or `get /PATH`. */
      function answers(questions: readonly string[]): Record<string, boolean> {
        const items = questions.map((question) => {
          const [verb = '', what = '', namespace] = question.split(' ');
          const [resource = '', name] = what.split('/');
          const [plural = '', ...group] = resource.split('.');
          const resourceAttributes = { verb, group: group.join('.'), resource: plural, name, namespace };
          const spec = what.startsWith('/') ? { nonResourceAttributes: { verb, path: what } } : { resourceAttributes };
          return { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', metadata: {}, spec };
        });
        const list = { apiVersion: 'v1', kind: 'List', items };
        const each = ['-o', 'jsonpath={.status.allowed}{"\\n"}'];
        const lines = must(['create', '-f', '-', ...each, `--as=${account}`], list)
          .trim()
          .split('\n');
        assert.equal(lines.length, questions.length);
        return Object.fromEntries(questions.map((question, index) => [question, lines[index] === 'true']));
      }
      const all = (questions: readonly string[], answer: boolean) =>
        Object.fromEntries(questions.map((question) => [question, answer]));

      it('may read what it builds the mesh from, everywhere', () => {
        const kinds = [
          ...['pods', 'services', 'namespaces', 'endpointslices.discovery.k8s.io'],
          ...['traffictargets.access.smi-spec.io', 'identitybindings.access.smi-spec.io'],
          ...['httproutegroups.specs.smi-spec.io', 'tcproutes.specs.smi-spec.io', 'udproutes.specs.smi-spec.io'],
          ...['trafficsplits.split.smi-spec.io', 'egresses.policy.openservicemesh.io'],
        ];
        const questions = [
          ...kinds.flatMap((kind) => [`list ${kind}`, `watch ${kind}`]),
          ...['get /openid/v1/jwks', 'get /.well-known/openid-configuration', 'get /version'],
        ];
        assert.deepEqual(answers(questions), all(questions, true));
      });

      it('may not read Secrets, other ConfigMaps, or what is none of its business', () => {
        const never = [
          ...['list secrets tulle-system', 'get secrets/other tulle-system', 'get secrets/tulle-ca default'],
          ...['list secrets', 'list configmaps', 'get configmaps/other default', 'list serviceaccounts', 'list nodes'],
          ...['create pods default', 'create pods/exec default', 'create serviceaccounts/token default'],
          'patch mutatingwebhookconfigurations.admissionregistration.k8s.io/other',
        ];
        assert.deepEqual(answers(never), all(never, false));
      });

      it('makes what it keeps by server-side apply, under its fixed names and no other', () => {
        const apply = (object: Partial<KubernetesObject>): Ran =>
          kubectl(['apply', '--server-side', '--field-manager=tulle-controller', `--as=${account}`, '-f', '-'], object);
        const object = (apiVersion: string, kind: string, name: string, namespace: string) => ({
          ...{ apiVersion, kind, metadata: { name, namespace } },
        });
        const may = [
          object('v1', 'ConfigMap', 'tulle-trust', 'meshed'),
          object('v1', 'Secret', 'tulle-ca', 'tulle-system'),
          object('coordination.k8s.io/v1', 'Lease', 'tulle-controller', 'tulle-system'),
          object('config.openservicemesh.io/v1alpha2', 'MeshConfig', 'osm-mesh-config', 'tulle-system'),
        ];
        for (const one of may) {
          const { status, stderr } = apply(one);
          assert.equal(status, 0, `${one.kind}: ${stderr}`);
        }
        const mayNot = [
          object('v1', 'ConfigMap', 'other', 'meshed'),
          object('v1', 'Secret', 'other', 'tulle-system'),
          object('v1', 'Secret', 'tulle-ca', 'meshed'),
          object('config.openservicemesh.io/v1alpha2', 'MeshConfig', 'other', 'tulle-system'),
        ];
        for (const one of mayNot) assert.match(apply(one).stderr, /forbidden/i, `${one.kind} ${one.metadata.name}`);
      });
    });

    describe('when it is removed', () => {
      it('goes without a trace but for the CRDs, what is in them, and what the controller made', () => {
        mustHelm('uninstall', 'tulle', '-n', 'tulle-system');
        const left = must(['get', 'clusterrole,clusterrolebinding,mutatingwebhookconfiguration', '-o', 'name']);
        assert.doesNotMatch(left, /tulle/);
        const kinds = 'deployment,service,configmap,serviceaccount,role,rolebinding,poddisruptionbudget,hpa';
        assert.doesNotMatch(must(['get', kinds, '-n', 'tulle-system', '-o', 'name']), /tulle/);
        const kept = must(['get', 'secret,meshconfig,lease', '-n', 'tulle-system', '-o', 'name']);
        assert.match(kept, /secret\/tulle-ca/);
        assert.match(kept, /osm-mesh-config/);
        assert.match(must(['get', 'trafficsplits', '-o', 'name']), /kept/);
      });

      it('installs again over the CRDs that an uninstall left', () => {
        mustHelm(...release('install', {}));
        assert.equal(replicas(), '1');
      });
    });
  },
);
