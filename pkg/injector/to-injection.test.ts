import assert from 'node:assert/strict';
import { applyPatch, bootstrapOf, injected, meshed, podOf, settings } from './injection.fixture.ts';
import type { InjectionNamespace, InjectionSettings } from './injection-settings.ts';
import type { Container, Pod, PodSpec } from './pod.ts';
import { toInjection } from './to-injection.ts';

const label = (key: string, value = 'osm'): InjectionNamespace => ({
  name: 'shop',
  labels: { [key]: value },
  annotations: {},
});
const annotated = (annotations: Record<string, string>): InjectionNamespace => ({ ...meshed, annotations });

function kindOf(pod: Pod, namespace = meshed, more: Partial<InjectionSettings> = {}): string {
  const injection = toInjection(pod, namespace, { ...settings, ...more });
  return injection.kind === 'skip' ? injection.reason : injection.kind === 'refuse' ? injection.message : 'patch';
}

const named = (pod: Pod, name: string): Container | undefined =>
  [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].find((one) => one.name === name);

describe('which pods get a sidecar', () => {
  const says = (value: string, key = 'openservicemesh.io/sidecar-injection'): Pod => podOf({}, {}, { [key]: value });

  for (const value of ['enabled', 'yes', 'true', 'Enabled', 'YES', 'True'])
    it(`one whose annotation says ${value}, in a namespace that says disabled`, () => {
      const disabled = annotated({ 'openservicemesh.io/sidecar-injection': 'disabled' });
      assert.equal(kindOf(says(value), disabled), 'patch');
    });
  for (const value of ['disabled', 'no', 'false', 'Disabled', 'NO', 'False'])
    it(`not one whose annotation says ${value}`, () => {
      assert.equal(kindOf(says(value)), `the pod says openservicemesh.io/sidecar-injection: ${value}`);
    });
  for (const value of ['', 'enable', 'on', '1', 'enabled '])
    it(`refuses one whose annotation says "${value}"`, () => {
      assert.match(kindOf(says(value)), /sidecar-injection of the pod is ".*": write "enabled" or "disabled"/);
    });

  it('not one whose label says disabled, unless its annotation says otherwise', () => {
    const pod = podOf();
    const labels = { ...pod.metadata?.labels, 'tulle.dev/sidecar-injection': 'disabled' };
    assert.match(kindOf({ ...pod, metadata: { ...pod.metadata, labels } }), /the pod says tulle\.dev/);
    const asking = { ...says('enabled').metadata, labels };
    assert.equal(kindOf({ ...pod, metadata: asking }), 'patch');
  });

  it('refuses when the namespace says something else', () => {
    const message = kindOf(podOf(), annotated({ 'tulle.dev/sidecar-injection': 'maybe' }));
    assert.match(message, /tulle\.dev\/sidecar-injection of namespace shop is "maybe"/);
  });

  it('one in a namespace with the label and nothing more', () => {
    for (const key of ['openservicemesh.io/monitored-by', 'tulle.dev/monitored-by'])
      assert.equal(kindOf(podOf(), label(key)), 'patch', key);
  });

  it('not one in a namespace that says disabled', () => {
    const message = kindOf(podOf(), annotated({ 'openservicemesh.io/sidecar-injection': 'disabled' }));
    assert.equal(message, 'namespace shop says openservicemesh.io/sidecar-injection: disabled');
  });

  it('our key wins over OSM’s, on pods and namespaces', () => {
    const both = { 'openservicemesh.io/sidecar-injection': 'enabled', 'tulle.dev/sidecar-injection': 'disabled' };
    assert.match(kindOf(podOf({}, {}, both)), /the pod says tulle\.dev/);
    assert.match(kindOf(podOf(), annotated(both)), /namespace shop says tulle\.dev/);
    const labels = { 'openservicemesh.io/monitored-by': 'osm', 'tulle.dev/monitored-by': 'other' };
    assert.equal(kindOf(podOf(), { ...meshed, labels }), 'namespace shop is not of mesh osm');
  });

  it('never one of the host’s network, whatever it says', () => {
    const pod = podOf({}, { hostNetwork: true }, { 'tulle.dev/sidecar-injection': 'enabled' });
    assert.equal(kindOf(pod), 'the pod uses the network of its node');
  });

  for (const name of ['kube-system', 'kube-public', 'kube-node-lease', 'tulle-system'])
    it(`never one in ${name}, whatever labels it has`, () => {
      const pod = podOf({}, {}, { 'tulle.dev/sidecar-injection': 'enabled' });
      assert.match(kindOf(pod, { ...meshed, name }), new RegExp(`namespace ${name} is`));
    });

  it('not one of another mesh, of no mesh, or in an ignored namespace, even if it asks', () => {
    const pod = podOf({}, {}, { 'tulle.dev/sidecar-injection': 'enabled' });
    assert.equal(kindOf(pod, label('openservicemesh.io/monitored-by', 'other')), 'namespace shop is not of mesh osm');
    assert.equal(kindOf(pod, { ...meshed, labels: {} }), 'namespace shop is not of mesh osm');
    for (const key of ['openservicemesh.io/ignore', 'tulle.dev/ignore'])
      assert.equal(
        kindOf(pod, { ...meshed, labels: { ...meshed.labels, [key]: '' } }),
        `namespace shop has the label ${key}`,
      );
  });

  it('not one of Windows, nor a mirror of a static pod', () => {
    const windows = 'the pod runs on Windows';
    assert.equal(kindOf(podOf({}, { nodeSelector: { 'kubernetes.io/os': 'windows' } })), windows);
    assert.equal(kindOf(podOf({}, { os: { name: 'windows' } })), windows);
    assert.match(kindOf(podOf({}, {}, { 'kubernetes.io/config.mirror': 'x' })), /static/);
  });

  it('one that has it stays as it is: injected twice is injected once', () => {
    for (const more of [{}, { kubernetesMinor: 28 }]) {
      const { pod } = injected(podOf(), meshed, more);
      assert.equal(kindOf(pod, meshed, more), 'the pod has its sidecar');
    }
  });

  it('one that was copied without its sidecar gets it again', () => {
    assert.equal(kindOf(podOf({}, {}, { 'tulle.dev/injected': '0.0.1' })), 'patch');
  });
});

describe('a pod that can not work is refused', () => {
  const cases: readonly (readonly [string, Pod, RegExp])[] = [
    ['a container as the sidecar’s user', podOf({ securityContext: { runAsUser: 1500 } }), /"web" runs as user 1500/],
    ['the whole pod as that user', podOf({}, { securityContext: { runAsUser: 1500 } }), /runs as user 1500/],
    [
      'an init container as that user',
      podOf({}, { initContainers: [{ name: 'setup', securityContext: { runAsUser: 1500 } }] }),
      /"setup" runs as user 1500/,
    ],
    ['a container named envoy', podOf({ name: 'envoy' }), /container named "envoy".*disabled on the pod/],
    [
      'an init container named tulle-init',
      podOf({}, { initContainers: [{ name: 'tulle-init' }] }),
      /named "tulle-init"/,
    ],
    ['a volume named tulle', podOf({}, { volumes: [{ name: 'tulle' }] }), /volume named "tulle"/],
    ...[15000, 15001, 15003, 15021].map(
      (port) =>
        [
          `port ${port}`,
          podOf({ ports: [{ containerPort: port }] }),
          /"web" has port 150\d\d, which the sidecar/,
        ] as const,
    ),
    ...(
      [
        ['openservicemesh.io/outbound-port-exclusion-list', '80,http', /"http" is not a port/],
        ['tulle.dev/inbound-port-exclusion-list', '0', /"0" is not a port/],
        ['openservicemesh.io/outbound-ip-range-exclusion-list', '10.0.0.1', /"10\.0\.0\.1" is not a range/],
        ['openservicemesh.io/outbound-ip-range-inclusion-list', '10.0.0.0/33', /not a range/],
        ['openservicemesh.io/outbound-ip-range-exclusion-list', 'fd00::/8,x/8', /"x\/8" is not a range/],
        ['openservicemesh.io/outbound-port-exclusion-list', Array(300).fill('1').join(), /300 items; 250 are allowed/],
        ['tulle.dev/outbound-port-exclusion-list', ','.repeat(99_999), /has 99999 characters; 16384 are allowed/],
        ['tulle.dev/log-level', 'loud', /"loud": write trace, debug/],
        ['tulle.dev/sidecar-image', 'x; rm', /write the name of an image/],
        ['tulle.dev/sidecar-cpu-request', 'much', /"much": write a quantity/],
        ['tulle.dev/pre-stop-sleep', '3s', /"3s": write whole seconds/],
      ] as const
    ).map(
      ([key, value, message]) => [`${key}: ${value.slice(0, 20)}`, podOf({}, {}, { [key]: value }), message] as const,
    ),
  ];
  for (const [title, pod, message] of cases)
    it(title, () => {
      const injection = toInjection(pod, meshed, settings);
      assert.equal(injection.kind, 'refuse');
      assert.match(injection.kind === 'refuse' ? injection.message : '', message);
    });

  it('but a container may override the pod’s user', () => {
    const pod = podOf({ securityContext: { runAsUser: 1000 } }, { securityContext: { runAsUser: 1500 } });
    assert.equal(kindOf(pod), 'patch');
  });

  it('and the metrics port is the app’s where nobody scrapes the sidecar', () => {
    const pod = podOf({ ports: [{ containerPort: 15010 }] });
    assert.equal(kindOf(pod), 'patch');
    assert.match(kindOf(pod, annotated({ 'openservicemesh.io/metrics': 'enabled' })), /port 15010/);
  });
});

describe('the patch', () => {
  it('fits pods that have no annotations, init containers or volumes, and pods that have', () => {
    injected({ spec: { containers: [{ name: 'web' }] } });
    injected({ metadata: {}, spec: { containers: [{ name: 'web' }], initContainers: [], volumes: [] } });
    injected(podOf({}, { initContainers: [{ name: 'a' }, { name: 'b' }], volumes: [{ name: 'v' }] }, { 'a~/b': 'c' }));
  });

  it('escapes the keys of annotations', () => {
    const { patch } = injected(podOf({}, {}, { a: 'b' }));
    assert.ok(patch.some(({ path }) => path === '/metadata/annotations/tulle.dev~1injected'));
  });

  it('is understood by the letter of RFC 6902', () => {
    assert.throws(() => applyPatch({}, [{ op: 'add', path: '/a/b', value: 1 }]));
    assert.throws(() => applyPatch({}, [{ op: 'replace', path: '/a', value: 1 }]));
  });
});

describe('what an injected pod looks like', () => {
  const entriesOf = (spec: PodSpec, more: Partial<InjectionSettings> = {}, container: Container = {}): string[] =>
    injected(podOf(container, spec), meshed, more).pod.spec?.initContainers?.map(
      ({ name, restartPolicy }) => `${name} ${restartPolicy ?? 'once'}`,
    ) ?? [];

  it('the rules are written before the sidecar starts, and both before what the user starts', () => {
    const initContainers = [{ name: 'migrate' }];
    assert.deepEqual(entriesOf({ initContainers }), ['tulle-init once', 'envoy Always', 'migrate once']);
  });

  it('the sidecar has no privilege where the rules ask for all of them', () => {
    const { pod } = injected(podOf(), meshed, { privilegedInit: true });
    assert.equal(named(pod, 'envoy')?.securityContext?.['privileged'], false);
    assert.equal(named(pod, 'tulle-init')?.securityContext?.['privileged'], true);
  });

  for (const [title, more, native] of [
    ['29', { kubernetesMinor: 29 }, true],
    ['28', { kubernetesMinor: 28 }, false],
    ['28, always', { kubernetesMinor: 28, nativeSidecars: 'always' }, true],
    ['34, never', { nativeSidecars: 'never' }, false],
  ] as const)
    it(`is a native sidecar where that is known: ${title}`, () => {
      const { pod } = injected(podOf(), meshed, more);
      assert.equal(pod.spec?.containers?.[0]?.name, native ? 'web' : 'envoy');
      assert.equal(pod.spec?.initContainers?.at(-1)?.name, native ? 'envoy' : 'tulle-init');
    });

  it('an ordinary sidecar holds the app back, and outlives it', () => {
    const { pod } = injected(podOf({}, { initContainers: [{ name: 'migrate' }] }), meshed, { kubernetesMinor: 28 });
    assert.deepEqual(
      pod.spec?.initContainers?.map(({ name }) => name),
      ['migrate', 'tulle-init'],
    );
    assert.deepEqual(named(pod, 'envoy')?.lifecycle, {
      postStart: { exec: { command: ['/usr/local/bin/tulle-wait.sh'] } },
      preStop: { exec: { command: ['/usr/local/bin/tulle-drain.sh', '10', '28'] } },
    });
  });

  const fast = { fastStart: true };
  const containersOf = (pod: Pod): unknown => pod.spec?.containers?.map(({ name }) => name);
  it('starts fast, where that is asked for, by one sidecar that writes the rules, before a gate that only it opens', () => {
    const { pod } = injected(podOf({ volumeMounts: [{ name: 'own', mountPath: '/own' }] }), meshed, fast);
    assert.deepEqual(entriesOf({}, fast), []);
    assert.deepEqual(containersOf(pod), ['envoy', 'web']);
    const { command, env, volumeMounts } = named(pod, 'envoy') ?? {};
    assert.deepEqual(command, ['/usr/local/bin/tulle-sidecar.sh']);
    assert.match(JSON.stringify(env), /TULLE_OPEN_PORTS/);
    const directory = env?.find(({ name }) => name === 'TULLE_GATE')?.['value'];
    assert.deepEqual(volumeMounts?.at(-1), { name: 'tulle-start', mountPath: directory });
    assert.deepEqual(named(pod, 'web')?.volumeMounts, [
      { name: 'own', mountPath: '/own' },
      { name: 'tulle-start', mountPath: directory, readOnly: true },
      { name: 'tulle-start', mountPath: `${String(directory)}/open`, subPath: 'app', readOnly: true },
    ]);
  });

  for (const [grace, hold] of [
    [60, ['10', '58']],
    [5, ['3', '3']],
    [1, ['0', '0']],
  ] as const)
    it(`a sidecar that is told to end with the app waits for it, within its ${grace} s`, () => {
      const { pod } = injected(podOf({}, { terminationGracePeriodSeconds: grace }), meshed, fast);
      const { command } = named(pod, 'envoy')?.lifecycle?.preStop?.['exec'] as { command: readonly string[] };
      assert.deepEqual(command.slice(1), hold);
    });

  const slow: readonly (readonly [string, PodSpec, Partial<InjectionSettings>?, Container?])[] = [
    ['has init containers, which would run before its sidecar', { initContainers: [{ name: 'migrate' }] }],
    ['ends by itself', { restartPolicy: 'OnFailure' }],
    ['has a container that is tried once', {}, {}, { restartPolicy: 'Never' }],
    ['ends without hooks', { terminationGracePeriodSeconds: 0 }],
    ['has one process namespace, which ends with its sandbox', { shareProcessNamespace: true }],
    ['has a runtime of its own, which may mount otherwise', { runtimeClassName: 'gvisor' }],
    ['has a volume where the gate is', {}, {}, { volumeMounts: [{ name: 'run', mountPath: '/var/run/' }] }],
    ['has rules that ask for a privileged container', {}, { privilegedInit: true }],
  ];
  for (const [what, spec, more = {}, container = {}] of slow)
    it(`does not start fast what ${what}`, () => {
      const { pod } = injected(podOf(container, spec), meshed, { ...fast, ...more });
      assert.deepEqual(
        pod.spec?.initContainers?.slice(0, 2).map(({ name }) => name),
        ['tulle-init', 'envoy'],
      );
      assert.deepEqual(
        pod.spec?.volumes?.map(({ name }) => name),
        ['tulle'],
      );
    });

  it('a pod may have it that it does not start fast, and says what became of it', () => {
    const saying = (value: string, spec: PodSpec = {}): string | undefined =>
      injected(podOf({}, spec, { 'tulle.dev/fast-start': value }), meshed, fast).pod.metadata?.annotations?.[
        'tulle.dev/fast-start'
      ];
    assert.equal(saying('no'), 'disabled');
    assert.equal(saying('yes'), 'enabled');
    assert.equal(saying('yes', { restartPolicy: 'Never' }), 'disabled');
    const unclear = toInjection(podOf({}, {}, { 'tulle.dev/fast-start': 'maybe' }), meshed, { ...settings, ...fast });
    assert.match(unclear.kind === 'refuse' ? unclear.message : '', /tulle\.dev\/fast-start of the pod is "maybe"/);
  });

  it('what other webhooks add to a pod that starts fast is put behind its gate and its sidecar, or refused', () => {
    const { pod } = injected(podOf(), meshed, fast);
    const again = (containers: readonly Container[], more: PodSpec = {}) =>
      toInjection({ ...pod, spec: { ...pod.spec, ...more, containers } }, meshed, { ...settings, ...fast });
    const [envoy = {}, web = {}] = pod.spec?.containers ?? [];
    assert.equal(again([envoy, web]).kind, 'skip');
    const added = again([{ name: 'early' }, envoy, web, { name: 'late' }]);
    if (added.kind !== 'patch') assert.fail(added.kind);
    assert.deepEqual(containersOf(added.pod), ['envoy', 'early', 'web', 'late']);
    for (const name of ['early', 'late']) assert.deepEqual(named(added.pod, name)?.volumeMounts, web.volumeMounts);
    assert.deepEqual(named(added.pod, 'web'), web);
    const refused = again([envoy, web], { initContainers: [{ name: 'agent' }] });
    assert.match(refused.kind === 'refuse' ? refused.message : '', /"agent".* tulle\.dev\/fast-start: disabled/);
    for (const change of [{ runtimeClassName: 'gvisor' }, { shareProcessNamespace: true }, { restartPolicy: 'Never' }])
      assert.equal(again([envoy, web], change).kind, 'refuse', JSON.stringify(change));
    const mounts = [...(web.volumeMounts ?? []), { name: 'own', mountPath: '/run/tulle-start' }];
    assert.equal(again([envoy, { ...web, volumeMounts: mounts }]).kind, 'refuse');
  });

  it('no container may mount the gate of a sidecar', () => {
    const mounting = podOf({ volumeMounts: [{ name: 'tulle-start', mountPath: '/gate' }] });
    const refused = toInjection(mounting, meshed, { ...settings, ...fast });
    assert.match(refused.kind === 'refuse' ? refused.message : '', /"tulle-start"/);
  });

  it('a token that the kubelet would give to root alone is not root’s alone', () => {
    const two = ['tulle-init once', 'envoy Always'];
    const asRoot = { securityContext: { runAsUser: 0 } };
    assert.deepEqual(entriesOf(asRoot, fast), two);
    assert.deepEqual(entriesOf({}, fast, asRoot), two);
    assert.deepEqual(entriesOf({ securityContext: { runAsUser: 0, fsGroup: 7 } }, fast), []);
    assert.deepEqual(entriesOf(asRoot, fast, { securityContext: { runAsUser: 7 } }), []);
  });

  it('a sidecar that writes the rules starts as root with three capabilities, of an image that no pod chooses', () => {
    const { pod } = injected(podOf(), meshed, fast);
    assert.deepEqual(named(pod, 'envoy')?.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      privileged: false,
      seccompProfile: { type: 'RuntimeDefault' },
      ...{ runAsUser: 0, runAsGroup: 1500, runAsNonRoot: false },
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW', 'SETUID'] },
    });
    const own = injected(podOf({}, {}, { 'tulle.dev/sidecar-image': 'other:1' }), meshed, fast).pod;
    assert.deepEqual(named(own, 'envoy')?.securityContext?.['capabilities'], { drop: ['ALL'] });
  });

  it('nothing in it is secret or of this one pod: two pods of an account get the same', () => {
    assert.deepEqual(bootstrapOf(injected(podOf()).pod), bootstrapOf(injected(podOf({ image: 'other:2' })).pod));
  });

  it('the sidecar passes Pod Security "restricted", the init container but for its two capabilities', () => {
    const { pod } = injected(podOf());
    const restricted = {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      privileged: false,
      seccompProfile: { type: 'RuntimeDefault' },
    };
    assert.deepEqual(named(pod, 'envoy')?.securityContext, {
      ...restricted,
      ...{ runAsUser: 1500, runAsGroup: 1500, runAsNonRoot: true, capabilities: { drop: ['ALL'] } },
    });
    assert.deepEqual(named(pod, 'tulle-init')?.securityContext, {
      ...restricted,
      ...{ runAsUser: 0, runAsGroup: 0, runAsNonRoot: false },
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
    });
  });

  it('a pod’s limit below the mesh’s request lowers that request', () => {
    const { pod } = injected(
      podOf({}, {}, { 'tulle.dev/sidecar-memory-limit': '20Mi', 'tulle.dev/sidecar-cpu-limit': '2500m' }),
    );
    assert.deepEqual(named(pod, 'envoy')?.['resources'], {
      requests: { cpu: '10m', memory: '20Mi' },
      limits: { cpu: '2500m', memory: '20Mi' },
    });
    const args = named(pod, 'envoy')?.['args'] as string[];
    assert.equal(args[args.indexOf('--concurrency') + 1], '2');
  });

  const sleepOf = (pod: Pod): unknown => named(pod, 'web')?.lifecycle?.preStop?.['sleep'];
  it('apps serve on for 3 s when told to end, or for as long as the pod says', () => {
    assert.deepEqual(sleepOf(injected(podOf()).pod), { seconds: 3 });
    assert.deepEqual(sleepOf(injected(podOf({}, {}, { 'tulle.dev/pre-stop-sleep': '8' })).pod), { seconds: 8 });
  });
  it('apps don’t wait that have a hook, a Job’s, a pod’s that says 0, or before Kubernetes 1.30', () => {
    const own = { preStop: { exec: { command: ['true'] } } };
    assert.deepEqual(named(injected(podOf({ lifecycle: own })).pod, 'web')?.lifecycle, own);
    assert.equal(sleepOf(injected(podOf({}, { restartPolicy: 'Never' })).pod), undefined);
    assert.equal(sleepOf(injected(podOf({}, {}, { 'tulle.dev/pre-stop-sleep': '0' })).pod), undefined);
    assert.equal(sleepOf(injected(podOf(), meshed, { kubernetesMinor: 29 }).pod), undefined);
    assert.equal(sleepOf(injected(podOf({}, { terminationGracePeriodSeconds: 1 })).pod), undefined);
  });
  it('the sleep stays below the grace period, as the API server asks', () => {
    assert.deepEqual(sleepOf(injected(podOf({}, { terminationGracePeriodSeconds: 3 })).pod), { seconds: 2 });
  });

  it('spans are named by the Deployment, not by its ReplicaSet', () => {
    const env = named(injected(podOf()).pod, 'envoy')?.['env'] as { name: string; value?: string }[];
    const attributes = env.find(({ name }) => name === 'OTEL_RESOURCE_ATTRIBUTES')?.value;
    assert.match(attributes ?? '', /^service\.name=web,service\.namespace=shop,/);
  });
  it('spans are of this namespace, whatever the owner of the pod is called', () => {
    const pod = podOf();
    const ownerReferences = [{ kind: 'X', name: 'x,service.namespace=bank,$(TULLE_SOURCE)', controller: true }];
    const result = injected({ ...pod, metadata: { ...pod.metadata, ownerReferences } }).pod;
    const env = named(result, 'envoy')?.['env'] as { name: string; value?: string }[];
    const attributes = env.find(({ name }) => name === 'OTEL_RESOURCE_ATTRIBUTES')?.value;
    assert.match(attributes ?? '', /^service\.name=x-service\.namespace-bank---TULLE_SOURCE-,service\.namespace=shop,/);
  });

  it('is scraped where the namespace asks for it, and says when that replaces the app’s own', () => {
    const metrics = annotated({ 'openservicemesh.io/metrics': 'enabled' });
    const { pod, warnings } = injected(podOf({}, {}, { 'prometheus.io/port': '9100' }), metrics);
    assert.deepEqual(
      ['scrape', 'port', 'path'].map((key) => pod.metadata?.annotations?.[`prometheus.io/${key}`]),
      ['true', '15010', '/stats/prometheus'],
    );
    assert.match(warnings.join(), /prometheus\.io\/port was 9100/);
    assert.match(JSON.stringify(named(pod, 'tulle-init')?.env), /15021,15010/);
    const own = injected(podOf({}, {}, { 'prometheus.io/scrape': 'True' })).pod;
    assert.match(JSON.stringify(named(own, 'tulle-init')?.env), /15021,15010/);
  });

  it('warns of what will not work: a Job beside an ordinary sidecar, a pod that knows no names of the cluster', () => {
    const job = podOf({}, { restartPolicy: 'Never' });
    assert.match(injected(job, meshed, { kubernetesMinor: 28 }).warnings.join(), /quitquitquit/);
    assert.deepEqual(injected(job).warnings, []);
    assert.match(injected(podOf({}, { dnsPolicy: 'None' })).warnings.join(), /dnsPolicy None/);
    assert.deepEqual(injected(podOf({}, { dnsPolicy: 'None' }), meshed, { serviceIp: '10.96.0.9' }).warnings, []);
  });

  it('what looks like a variable of Kubernetes in a probe stays as it is', () => {
    const { pod } = injected(podOf({ readinessProbe: { httpGet: { path: '/$(HOME)/$$x', port: 8080 } } }));
    assert.match(JSON.stringify(bootstrapOf(pod)), /"exact":"\/\$\(HOME\)\/\$\$x"/);
    const args = named(pod, 'envoy')?.['args'] as string[];
    assert.doesNotMatch(args[1] ?? '', /(^|[^$])(\$\$)*\$\(/);
  });
});
