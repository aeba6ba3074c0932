import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeControllerConfig } from '../../pkg/control-plane/config.ts';
import {
  chart,
  configOf,
  configText,
  describeWith,
  find,
  mustRun,
  run,
  template,
  templateText,
  type Settings,
} from './helm.ts';

const root = join(import.meta.dirname, '../..');

/** Together they take every branch of the templates. */
const sets: Readonly<Record<string, Settings>> = {
  'no value set': {},
  'three replicas': { replicas: 3 },
  autoscaling: { 'autoscaling.enabled': true },
  'an air-gapped registry and digests': {
    'image.registry': 'registry.example:5000/mirror',
    'image.pullSecrets[0]': 'pull',
    'image.controller.digest': `sha256:${'0'.repeat(64)}`,
    'image.sidecar.digest': `sha256:${'1'.repeat(64)}`,
  },
  "a CA of one's own": { 'ca.existingSecret': 'corporate-ca', 'ca.leafLifetime': '12h', trustDomain: 'example.com' },
  'limits on all that is injected': {
    'injection.resources.limits.cpu': 1,
    'injection.resources.limits.memory': '256Mi',
    'injection.initResources.requests.cpu': 0.1,
    'injection.initResources.limits.cpu': '200m',
  },
  Jaeger: { 'tracing.jaeger.enabled': true, 'tracing.sampling': 0.1 },
  'a collector': { 'tracing.endpoint': 'http://collector.monitoring:4318' },
  'the Prometheus operator': { 'metrics.serviceMonitor.enabled': true, 'metrics.serviceMonitor.labels.release': 'p' },
  'another mesh in the same cluster': { meshName: 'second', 'crds.install': false, mode: 'enforce', egress: 'deny' },
  'all of the pod': {
    priorityClassName: 'system-cluster-critical',
    'nodeSelector.pool': 'infra',
    'tolerations[0].operator': 'Exists',
    'affinity.podAntiAffinity.x': 'y',
    'metrics.annotations': false,
    'rbac.aggregateToView': false,
  },
};

describeWith(['helm'], 'the chart', function (this: void) {
  it('passes the linter', () => {
    const { status, stdout } = run('helm', ['lint', '--strict', chart]);
    assert.equal(status, 0, stdout);
  }).timeout(60_000);

  it('has the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const text = readFileSync(join(chart, 'Chart.yaml'), 'utf8');
    assert.match(text, new RegExp(`^version: ${version}$`, 'm'));
    assert.match(text, new RegExp(`^appVersion: ${version}$`, 'm'));
    assert.match(text, new RegExp(`tulle/sidecar:${version}$`, 'm'));
  });

  it('renders nothing of what the cluster says, runs no hooks, and draws no lots', () => {
    const templates = mustRun('helm', ['template', 'tulle', chart, '--debug']);
    assert.doesNotMatch(templates, /helm\.sh\/hook/);
    for (const file of ['_names.tpl', 'crds.yaml', 'deployment.yaml', 'rbac.yaml', 'webhook.yaml', 'NOTES.txt']) {
      const text = readFileSync(join(chart, 'templates', file), 'utf8');
      assert.doesNotMatch(text, /\b(lookup|rand[A-Z]\w+|uuidv4|genCA|genSigned\w+|now|date)\b/, file);
    }
  }).timeout(60_000);

  for (const [title, settings] of Object.entries(sets)) {
    describe(`with ${title}`, () => {
      it('renders the same bytes twice, each object once, in its namespace', () => {
        assert.equal(templateText(settings), templateText(settings));
        const objects = template(settings);
        const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`);
        assert.equal(new Set(names).size, names.length);
        for (const { apiVersion, kind, metadata } of objects) {
          assert.ok(apiVersion !== undefined && kind !== undefined && metadata.name !== undefined);
          const ofCluster = /^(ClusterRole|ClusterRoleBinding|CustomResourceDefinition|MutatingWebhook\w+)$/.test(kind);
          assert.equal(metadata.namespace, ofCluster ? undefined : 'tulle-system', `${kind} ${metadata.name}`);
          assert.equal(metadata.labels?.['app.kubernetes.io/managed-by'], 'Helm');
        }
      }).timeout(60_000);

      it('gives the controller a configuration that it takes', () => {
        decodeControllerConfig(configText(template(settings)));
      }).timeout(60_000);

      it('has pods that hold to Pod Security "restricted"', () => {
        for (const { kind, spec } of template(settings)) {
          if (kind !== 'Deployment') continue;
          const { securityContext, containers, hostNetwork, volumes } = spec.template.spec;
          assert.equal(hostNetwork, undefined);
          assert.equal(securityContext.runAsNonRoot, true);
          assert.ok(securityContext.runAsUser > 0);
          assert.deepEqual(securityContext.seccompProfile, { type: 'RuntimeDefault' });
          for (const { securityContext: own, resources } of containers) {
            assert.equal(own.allowPrivilegeEscalation, false);
            assert.equal(own.readOnlyRootFilesystem, true);
            assert.deepEqual(own.capabilities, { drop: ['ALL'] });
            assert.ok(resources.requests.cpu && resources.requests.memory);
          }
          for (const volume of volumes) {
            assert.ok(volume.configMap ?? volume.emptyDir ?? volume.projected, JSON.stringify(volume));
          }
        }
      }).timeout(60_000);
    });
  }

  it('leaves the number of replicas to the autoscaler, and lets no more than one go at a time', () => {
    const kinds = (settings: Settings) => template(settings, '--set', 'crds.install=false').map(({ kind }) => kind);
    const replicas = (settings: Settings) => find(template(settings), 'Deployment', 'tulle-controller').spec.replicas;
    assert.equal(replicas({}), 1);
    assert.equal(replicas({ replicas: 3 }), 3);
    assert.equal(replicas({ 'autoscaling.enabled': true }), undefined);
    assert.ok(!kinds({}).includes('PodDisruptionBudget'));
    assert.ok(kinds({ replicas: 2 }).includes('PodDisruptionBudget'));
    assert.ok(kinds({ 'autoscaling.enabled': true }).includes('PodDisruptionBudget'));
    assert.ok(kinds({ 'autoscaling.enabled': true }).includes('HorizontalPodAutoscaler'));
  }).timeout(60_000);

  it('takes every image from one registry, by digest where there is one', () => {
    const objects = template({ ...sets['an air-gapped registry and digests'], 'tracing.jaeger.enabled': true });
    const image = (name: string) => find(objects, 'Deployment', name).spec.template.spec.containers[0]?.image;
    const { sidecarImage } = configOf(objects).kubernetes.injection;
    assert.deepEqual(
      [image('tulle-controller'), image('jaeger'), sidecarImage],
      [
        `registry.example:5000/mirror/tulle/controller@sha256:${'0'.repeat(64)}`,
        'registry.example:5000/mirror/jaegertracing/jaeger:2.13.0',
        `registry.example:5000/mirror/tulle/sidecar@sha256:${'1'.repeat(64)}`,
      ],
    );
  }).timeout(60_000);

  it('gives what it injects the resources that are set, each of the two containers its own', () => {
    const { injection } = configOf(template(sets['limits on all that is injected'])).kubernetes;
    assert.deepEqual(injection.resources, {
      requests: { cpu: '10m', memory: '40Mi' },
      limits: { cpu: 1, memory: '256Mi' },
    });
    assert.deepEqual(injection.initResources.limits, { cpu: '200m', memory: '64Mi' });
    assert.deepEqual(configOf(template()).kubernetes.injection.initResources, {
      requests: { cpu: '5m', memory: '10Mi' },
      limits: { memory: '64Mi' },
    });
  }).timeout(60_000);

  it('starts the control plane anew when its configuration changes, and only then', () => {
    const hash = (settings: Settings) =>
      find(template(settings), 'Deployment', 'tulle-controller').spec.template.metadata.annotations?.[
        'tulle.dev/config-hash'
      ];
    assert.equal(hash({}), hash({ replicas: 5 }));
    assert.notEqual(hash({}), hash({ 'injection.concurrency': 4 }));
  }).timeout(60_000);

  it('sends spans to the collector that is set, else to the Jaeger that it deploys, else nowhere', () => {
    const forward = (settings: Settings): unknown => configOf(template(settings)).otlpForward;
    assert.equal(forward({}), undefined);
    assert.equal(forward({ 'tracing.jaeger.enabled': true }), 'http://jaeger.tulle-system.svc:4318');
    const endpoint = 'https://otel.example:4318/v1/traces';
    assert.equal(forward({ 'tracing.jaeger.enabled': true, 'tracing.endpoint': endpoint }), endpoint);
  }).timeout(60_000);

  it('keeps a mesh apart from another in the same cluster', () => {
    const ofCluster = (settings: Settings) =>
      template({ ...settings, 'crds.install': false })
        .filter(({ metadata }) => metadata.namespace === undefined)
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const second = new Set(ofCluster({ meshName: 'second' }));
    assert.deepEqual(
      ofCluster({}).filter((name) => second.has(name)),
      [],
    );
  }).timeout(60_000);

  it('quotes a mesh name that YAML would take for something else', () => {
    const objects = template({ meshName: 'x' }, '--set-string', 'meshName=1');
    const webhook = find(objects, 'MutatingWebhookConfiguration', 'tulle-injector-1').webhooks[0];
    assert.deepEqual(webhook?.namespaceSelector.matchExpressions[0]?.values, ['1']);
  }).timeout(60_000);
});

describeWith(['helm'], 'the injector webhook of the chart', () => {
  const webhooks = (...flags: string[]) =>
    find(template({}, ...flags), 'MutatingWebhookConfiguration', 'tulle-injector-osm').webhooks;

  it('fails closed, has no caBundle of its own, and is asked about new pods only', () => {
    for (const webhook of webhooks()) {
      assert.equal(webhook.failurePolicy, 'Fail');
      assert.equal(webhook.sideEffects, 'NoneOnDryRun');
      assert.ok(!('caBundle' in webhook.clientConfig));
      assert.deepEqual(webhook.clientConfig.service, {
        name: 'tulle-controller',
        namespace: 'tulle-system',
        path: '/mutate-pod-creation',
        port: 9090,
      });
      const pods = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] };
      assert.deepEqual(webhook.rules, [{ ...pods, scope: 'Namespaced' }]);
    }
  }).timeout(60_000);

  it('is never asked about namespaces of the system, its own, and ignored ones', () => {
    for (const { namespaceSelector } of webhooks()) {
      const { matchExpressions } = namespaceSelector;
      const own = matchExpressions.find(({ key }) => key === 'kubernetes.io/metadata.name');
      assert.deepEqual(own?.values, ['kube-system', 'kube-public', 'kube-node-lease', 'tulle-system']);
      for (const key of ['openservicemesh.io/ignore', 'tulle.dev/ignore']) {
        assert.ok(
          matchExpressions.some((expression) => expression.key === key),
          key,
        );
      }
    }
  }).timeout(60_000);

  it('lets who opted out by annotation start without it, where Kubernetes can tell', () => {
    assert.ok(webhooks('--kube-version', '1.29.0').every((webhook) => 'matchConditions' in webhook));
    assert.ok(webhooks('--kube-version', '1.27.9').every((webhook) => !('matchConditions' in webhook)));
  }).timeout(60_000);
});
