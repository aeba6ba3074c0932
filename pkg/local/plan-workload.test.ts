import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Container, Workload } from '../provider/files/workload.ts';
import { toProcess } from './container-process.ts';
import { planWorkload, type PlanContext } from './plan-workload.ts';

const container: Container = {
  name: 'web',
  image: 'example.com/shop/web:v1',
  command: ['node', 'web.mjs', '--ip=$(POD_IP)'],
  args: ['$(GREETING)'],
  env: [
    { name: 'GREETING', valueFrom: { configMapKeyRef: { name: 'words', key: 'hello', optional: false } } },
    { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
    { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'BOTH', value: '$(GREETING)/$(POD)' },
  ],
  envFrom: [],
  ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
};
const workload: Workload = {
  kind: 'Deployment',
  namespace: 'shop',
  name: 'web',
  replicas: 1,
  labels: { app: 'web' },
  annotations: {},
  serviceAccount: 'web',
  hostNetwork: false,
  containers: [container],
  initContainers: [],
};
const context: PlanContext = {
  configMaps: [{ namespace: 'shop', name: 'words', data: { hello: 'good $(day)' } }],
  folder: '/files',
  sidecar: 'node',
  images: new Map(),
  findProgram: (name) => (['node', 'python3', './web'].includes(name) ? `/bin/${name.replace('./', '')}` : undefined),
  workingFolder: (_, folder) => folder,
};
const process = {
  podIp: '10.244.0.2',
  uid: 'u',
  base: { PATH: '/bin' },
  services: {},
  proxy: {},
  appPort: (port: number): number => port,
  isolated: true,
};

describe('planWorkload', () => {
  it('resolves programs, ConfigMaps and fields', () => {
    const pod = planWorkload(workload, context).pod?.(0);
    const [planned] = pod?.containers ?? [];
    assert.ok(pod && planned);
    const { program, args, env, cwd } = toProcess(planned, process);
    assert.equal(program, '/bin/node');
    assert.deepEqual(args, ['web.mjs', '--ip=10.244.0.2', 'good $(day)']);
    assert.equal(cwd, '/files');
    assert.deepEqual(env, {
      PATH: '/bin',
      HOSTNAME: pod.name,
      GREETING: 'good $(day)',
      POD_IP: '10.244.0.2',
      POD: pod.name,
      BOTH: `good $(day)/${pod.name}`,
    });
  });

  it('is another revision when a value of its environment is', () => {
    const configMaps = [{ namespace: 'shop', name: 'words', data: { hello: 'bye' } }];
    assert.notEqual(
      planWorkload(workload, { ...context, configMaps }).revision,
      planWorkload(workload, context).revision,
    );
    assert.equal(
      planWorkload({ ...workload, replicas: 3 }, context).revision,
      planWorkload(workload, context).revision,
    );
  });

  it('names the flag that gives a missing program', () => {
    const missing = { ...workload, containers: [{ ...container, command: ['/app/web'] }] };
    const { pod, problems } = planWorkload(missing, context);
    assert.equal(pod, undefined);
    assert.deepEqual(
      problems.map(({ reason, field, message, fix }) => ({ reason, field, message, fix })),
      [
        {
          reason: 'ProgramMissing',
          field: '/spec/template/spec/containers/0/command/0',
          message: 'no program "/app/web" on this machine',
          fix: 'give a local one: --image example.com/shop/web=PROGRAM, or the annotation tulle.dev/command',
        },
      ],
    );
  });

  it("takes an image's program in place of the first word, by whole name or its last part, and keeps the rest", () => {
    for (const name of ['example.com/shop/web', 'web', 'example.com/shop/web:v9']) {
      const images = new Map([[name, './web']]);
      const missing = { ...workload, containers: [{ ...container, command: ['/app/web', '-v'] }] };
      const [planned] = planWorkload(missing, { ...context, images }).pod?.(0).containers ?? [];
      assert.deepEqual([planned?.program, planned?.args], ['/bin/web', ['-v', '$(GREETING)']], name);
    }
  });

  it('lets the annotation name another command', () => {
    const annotations = { 'tulle.dev/command': 'python3 -m "http server"' };
    const [planned] = planWorkload({ ...workload, annotations }, context).pod?.(0).containers ?? [];
    assert.deepEqual([planned?.program, planned?.args], ['/bin/python3', ['-m', 'http server', '$(GREETING)']]);
  });

  it('says which value is missing, and runs nothing with it', () => {
    const { pod, problems } = planWorkload(workload, { ...context, configMaps: [] });
    assert.equal(pod, undefined);
    assert.deepEqual(
      problems.map(({ reason, message }) => [reason, message]),
      [['ValueUnresolved', 'no key "hello" in ConfigMap "words" of namespace "shop"']],
    );
  });

  it('runs nothing without a container, as where they could not be read', () => {
    assert.equal(planWorkload({ ...workload, containers: [] }, context).pod, undefined);
  });

  it('names the pods of a StatefulSet by their number', () => {
    const set = planWorkload({ ...workload, kind: 'StatefulSet', serviceName: 'db' }, context).pod?.(1);
    assert.deepEqual([set?.name, set?.hostname, set?.subdomain], ['web-1', 'web-1', 'db']);
  });

  it('gives a program another port by the variable that takes it', () => {
    const annotations = { 'tulle.dev/port-env': 'PORT' };
    const [planned] = planWorkload({ ...workload, annotations }, context).pod?.(0).containers ?? [];
    assert.ok(planned);
    assert.equal(toProcess(planned, { ...process, appPort: () => 4711 }).env['PORT'], '4711');
    assert.equal(toProcess(planned, process).env['PORT'], undefined);
  });

  it('runs the init containers that can run here, and says why not the others', () => {
    const init = { ...container, name: 'wait', command: ['python3', 'wait.py'], args: [] };
    const inits: Workload['inits'] = [
      init,
      { ...init, name: 'own', needsContainer: 'volumes' },
      { ...init, name: 'gone', command: ['nslookup'] },
    ];
    const plan = (annotations: Workload['annotations']): ReturnType<typeof planWorkload> =>
      planWorkload({ ...workload, annotations, inits }, context);
    const usual = plan({});
    assert.deepEqual(
      usual.pod?.(0).inits?.map(({ name, program }) => [name, program]),
      [['wait', '/bin/python3']],
    );
    assert.deepEqual(
      usual.problems.map(({ field, severity }) => [field, severity]),
      [
        ['/spec/template/spec/initContainers/1', 'info'],
        ['/spec/template/spec/initContainers/2', 'info'],
      ],
    );
    assert.equal(plan({ 'tulle.dev/init': 'skip' }).pod?.(0).inits, undefined);
    // Asked to run what isn't here: an error, as for any container.
    assert.equal(plan({ 'tulle.dev/init': 'run' }).pod, undefined);
    const other = plan({ 'tulle.dev/command': 'node other.mjs' }).pod?.(0);
    assert.deepEqual([other?.containers[0]?.program, other?.inits?.[0]?.program], ['/bin/node', '/bin/python3']);
  });

  it('plans all three probes of a container', () => {
    const times = {
      initialDelaySeconds: 1,
      periodSeconds: 2,
      timeoutSeconds: 3,
      successThreshold: 1,
      failureThreshold: 4,
    };
    const probed: Container = {
      ...container,
      livenessProbe: { ...times, tcpSocket: { port: 'http' } },
      startupProbe: { ...times, exec: { command: ['true'] } },
    };
    const [planned] = planWorkload({ ...workload, containers: [probed] }, context).pod?.(0).containers ?? [];
    assert.equal(planned?.readiness, undefined);
    assert.deepEqual(planned?.liveness, {
      handler: { kind: 'tcp', port: 80 },
      initialDelayMs: 1000,
      periodMs: 2000,
      timeoutMs: 3000,
      successThreshold: 1,
      failureThreshold: 4,
      eager: false,
      counted: true,
    });
    assert.deepEqual(planned?.startupCommand, ['true']);
  });

  it('lets no time of a probe be longer than a timer can wait', () => {
    const long = 2_592_000;
    const times = { initialDelaySeconds: long, periodSeconds: long, timeoutSeconds: long };
    const livenessProbe = { ...times, successThreshold: 1, failureThreshold: 1, tcpSocket: { port: 80 } };
    const containers = [{ ...container, livenessProbe }];
    const [planned] = planWorkload({ ...workload, containers }, context).pod?.(0).containers ?? [];
    const { initialDelayMs, periodMs, timeoutMs } = planned?.liveness ?? {};
    assert.deepEqual([initialDelayMs, periodMs, timeoutMs], Array(3).fill(2 ** 31 - 1));
  });
});
