import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { MeshConfig } from '../../catalog/snapshot.ts';
import type { Problem } from '../../problem/problem.ts';
import { decodeSmiObject } from '../../smi/decode.ts';
import { maxFileBytes } from './bounded-file.ts';
import type { MeshRead, ReadOptions } from './mesh-read.ts';
import { readMesh } from './read-mesh.ts';
import { withPositions } from './with-positions.ts';

const config: MeshConfig = {
  trustDomain: 'cluster.local',
  egress: 'allow',
  tracing: { sampling: 1 },
  mode: 'enforce',
  modeFrom: 'default',
  pathMatch: 'full',
};

describe('readMesh', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'tulle-files-'));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  function write(name: string, content: string | Uint8Array): void {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), content);
  }

  async function read(options: Partial<ReadOptions> = {}): Promise<MeshRead> {
    return readMesh({ inputs: [dir], config, ...options });
  }

  /** `file:line:column reason`, the way people read them. */
  function told(problems: readonly Problem[]): string[] {
    return problems.map(({ position, reason }) => {
      const where = position && `${position.file.slice(dir.length + 1)}:${position.line}:${position.column}`;
      return `${where} ${reason}`;
    });
  }

  function service(name: string, more = ''): string {
    return `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: 80}]${more}}\n`;
  }

  it('reads YAML and JSON below a directory, in sorted order, Lists flattened', async () => {
    write('b/two.yml', `# a comment\n---\n${service('c')}---\n# nothing\n---\n${service('d')}`);
    write('a.yaml', `apiVersion: v1\nkind: List\nitems:\n- ${service('a').trim().replaceAll('\n', '\n  ')}\n`);
    write('a.json', JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'b' } }));
    write('.hidden/x.yaml', service('hidden'));
    write('notes.txt', 'none');
    const { snapshot, problems, objects } = await read({ defaultNamespace: 'shop' });
    assert.deepEqual(problems, []);
    assert.deepEqual(
      snapshot.services.map(({ namespace, name }) => `${namespace}/${name}`),
      ['shop/b', 'shop/a', 'shop/c', 'shop/d'],
    );
    assert.equal(objects, 4);
    assert.deepEqual(snapshot.namespaces, [{ name: 'shop', meshed: true }]);
  });

  it('gives each Service an address of its own, always the same', async () => {
    write(
      'a.yaml',
      [service('a'), service('b', ', clusterIP: None'), service('c', ', clusterIP: 10.0.0.7')].join('---\n'),
    );
    const { snapshot } = await read();
    const [a, b, c] = snapshot.services;
    assert.match(a?.clusterIPs[0] ?? '', /^10\.(9[6-9]|10\d|11[01])\./);
    assert.deepEqual([b?.clusterIPs, b?.headless], [[], true]);
    assert.deepEqual(c?.clusterIPs, ['10.0.0.7']);
    assert.deepEqual((await read()).snapshot.services[0]?.clusterIPs, a?.clusterIPs);
  });

  it('tells a syntax error with its place, and keeps the neighbours in force', async () => {
    write('a.yaml', `${service('a')}---\nkind: Service\n  metadata: [\n---\n${service('b')}`);
    write('b.yaml', service('c'));
    const { snapshot, problems } = await read();
    assert.deepEqual(
      snapshot.services.map(({ name }) => name),
      ['a', 'b', 'c'],
    );
    assert.deepEqual(told(problems), ['a.yaml:6:7 SyntaxError']);
  });

  it('tells what is no object, and what has no name', async () => {
    write(
      'a.yaml',
      'just text\n---\n- a\n---\nkind: Service\n---\napiVersion: v1\nkind: Service\nmetadata: {name: 5}\n',
    );
    const { problems, objects } = await read();
    assert.deepEqual(told(problems), [
      'a.yaml:1:1 NotAnObject',
      'a.yaml:3:1 NotAnObject',
      'a.yaml:5:1 FieldMissing',
      'a.yaml:5:1 FieldMissing',
      'a.yaml:9:18 FieldInvalid',
    ]);
    assert.equal(objects, 0);
  });

  it('tells files that are too large, binary, missing or closed to this user', async function () {
    write('binary.yaml', new Uint8Array([0x66, 0, 0x66]));
    write('latin1.yaml', new Uint8Array([0x61, 0xe9, 0x0a]));
    write('large.yaml', new Uint8Array(maxFileBytes + 1).fill(0x23));
    write('good.yaml', service('a'));
    const expected = ['binary.yaml:1:1 FileNotText', 'large.yaml:1:1 FileTooLarge', 'latin1.yaml:1:1 FileNotText'];
    write('secret.yaml', service('b'));
    chmodSync(join(dir, 'secret.yaml'), 0);
    // As root nothing is closed.
    if (process.getuid?.() !== 0) expected.push('secret.yaml:1:1 FileUnreadable');
    const { snapshot, problems } = await read({ inputs: [dir, join(dir, 'missing.yaml')] });
    assert.deepEqual(told(problems), [...expected, 'missing.yaml:1:1 FileUnreadable']);
    assert.ok(snapshot.services.some(({ name }) => name === 'a'));
  });

  it('keeps the first of two objects with one name', async () => {
    write('a.yaml', service('a', ', clusterIP: 10.0.0.1'));
    write('b.yaml', `# the second\n${service('a')}`);
    const { snapshot, problems } = await read();
    assert.deepEqual(
      snapshot.services.map(({ clusterIPs }) => clusterIPs),
      [['10.0.0.1']],
    );
    assert.deepEqual(told(problems), ['b.yaml:4:18 DuplicateObject']);
    assert.match(problems[0]?.message ?? '', /a\.yaml:3 already/);
  });

  it('says in one line which kinds play no part, and refuses a misspelt kind of SMI', async () => {
    const object = (apiVersion: string, kind: string, name: string): string =>
      `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}}\n`;
    write(
      'a.yaml',
      [
        object('networking.k8s.io/v1', 'Ingress', 'a'),
        object('networking.k8s.io/v1', 'Ingress', 'b'),
        object('v1', 'ServiceAccount', 'c'),
        object('gateway.networking.k8s.io/v1alpha2', 'TCPRoute', 'd'),
        object('split.smi-spec.io/v1alpha4', 'Trafficsplit', 'e'),
      ].join('---\n'),
    );
    const { problems } = await read();
    assert.deepEqual(told(problems), [
      'a.yaml:2:7 KindIgnored',
      'a.yaml:14:7 KindIgnored',
      'a.yaml:18:7 KindUnsupported',
    ]);
    assert.match(problems[0]?.message ?? '', /^2 of kind Ingress/);
  });

  it('finds the place of the offending value, and of what is missing the nearest above', async () => {
    write(
      'a.yaml',
      `${service('a')}---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: x}
spec:
  service: a
  backends:
  - service: a-v1
    weight: -1
  - service: a-v2
`,
    );
    const { snapshot, locate } = await read();
    const problems = withPositions(decodeSmiObject(snapshot.smi[0]).problems, locate);
    assert.deepEqual(told(problems), ['a.yaml:13:13 WeightInvalid', 'a.yaml:14:5 FieldMissing']);
    assert.equal(locate({ kind: 'Service', namespace: 'default', name: 'zzz' }, ''), undefined);
  });

  it('bounds aliases and nesting, and takes ordinary anchors', async () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (let i = 0; i < 9; i++) {
      const [from, to] = ['abcdefghij'[i], 'abcdefghij'[i + 1]];
      bomb.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(', ')}]`);
    }
    write('bomb.yaml', bomb.join('\n'));
    write('deep.yaml', `${'['.repeat(5000)}${']'.repeat(5000)}`);
    write('itself.yaml', 'a: &a [*a]');
    write('good.yaml', `${service('a', ', selector: &s {app: a}, x: {<<: *s}')}`);
    const { snapshot, problems } = await read();
    assert.deepEqual(
      told(problems).map((line) => line.replace(/:\d+:\d+/, '')),
      ['bomb.yaml SyntaxError', 'deep.yaml SyntaxError', 'itself.yaml SyntaxError'],
    );
    assert.equal(snapshot.services.length, 1);
  });

  it('reads each file once, whatever leads to it', async () => {
    write('a.yaml', service('a'));
    symlinkSync(join(dir, 'a.yaml'), join(dir, 'b.yaml'));
    symlinkSync(dir, join(dir, 'loop'));
    const { problems, snapshot } = await read({ inputs: [dir, join(dir, 'a.yaml'), join(dir, 'a.yaml')] });
    assert.deepEqual([problems, snapshot.services.length], [[], 1]);
  });

  it('reads namespaces with the keys of OSM and of our own', async () => {
    const namespace = (name: string, more: string): string =>
      `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, ${more}}\n`;
    write(
      'a.yaml',
      [
        namespace('a', 'labels: {openservicemesh.io/ignore: "true"}'),
        namespace('b', 'annotations: {tulle.dev/mode: shadow}'),
        namespace('c', 'annotations: {tulle.dev/mode: shadwo}'),
        namespace('d', 'labels: {tulle.dev/ignore: ""}'),
        namespace(
          'e',
          'annotations: {tulle.dev/sidecar-injection: disabled, openservicemesh.io/sidecar-injection: enabled}',
        ),
      ].join('---\n'),
    );
    const { snapshot, problems } = await read();
    assert.deepEqual(snapshot.namespaces, [
      { name: 'a', meshed: false },
      { name: 'b', meshed: true, mode: 'shadow' },
      { name: 'c', meshed: true, mode: 'enforce' },
      { name: 'd', meshed: false },
      { name: 'e', meshed: false },
    ]);
    assert.deepEqual(told(problems), ['a.yaml:11:51 FieldInvalid']);
  });

  const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      nodeSelector: {disk: fast}
      initContainers: [{name: setup, image: busybox}]
      containers:
      - name: web
        image: web:v1
        args: ["--port", 8080]
        env: [{name: A, value: b}, {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
`;

  it('reads workloads for the laptop, and plans the pods that they would have', async () => {
    write('a.yaml', deployment);
    const { snapshot, workloads, problems } = await read();
    assert.deepEqual(told(problems), ['a.yaml:15:26 FieldInvalid']);
    assert.deepEqual(workloads, [
      {
        kind: 'Deployment',
        namespace: 'shop',
        name: 'web',
        replicas: 2,
        labels: { app: 'web' },
        annotations: {},
        serviceAccount: 'web',
        hostNetwork: false,
        containers: [
          {
            name: 'web',
            image: 'web:v1',
            command: [],
            args: ['--port', '8080'],
            env: [
              { name: 'A', value: 'b' },
              { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
            ],
            envFrom: [],
            ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
            readinessProbe: {
              initialDelaySeconds: 0,
              periodSeconds: 10,
              timeoutSeconds: 1,
              successThreshold: 1,
              failureThreshold: 3,
              httpGet: { path: '/ready', port: 'http', scheme: 'HTTP', httpHeaders: [] },
            },
          },
        ],
        inits: [{ name: 'setup', image: 'busybox', command: [], args: [], env: [], envFrom: [], ports: [] }],
        initContainers: ['setup'],
      },
    ]);
    assert.deepEqual(
      snapshot.pods.map(({ name, serviceAccount, ready, meshed, owner }) => ({
        name,
        serviceAccount,
        ready,
        meshed,
        owner,
      })),
      ['web-0', 'web-1'].map((name) => ({
        name,
        serviceAccount: 'web',
        ready: true,
        meshed: true,
        owner: 'shop/Deployment/web',
      })),
    );
  });

  it('takes running pods from their directories alone', async () => {
    write('in/a.yaml', deployment);
    const annotations = {
      'tulle.dev/inbound-address': 'unix:/run/p/in-{port}.sock',
      'tulle.dev/owner': 'shop/Deployment/web',
      'tulle.dev/sidecar': 'node',
    };
    write(
      'pods/web-x.json',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web-x', namespace: 'shop', labels: { app: 'web' }, annotations },
        spec: {
          serviceAccountName: 'web',
          containers: [{ name: 'web', ports: [{ name: 'http', containerPort: 8080 }] }],
        },
        status: { podIP: '127.0.0.1', conditions: [{ type: 'Ready', status: 'False' }] },
      }),
    );
    const { snapshot } = await read({ inputs: [join(dir, 'in')], podDirs: [join(dir, 'pods'), join(dir, 'none')] });
    assert.deepEqual(snapshot.pods, [
      {
        namespace: 'shop',
        name: 'web-x',
        serviceAccount: 'web',
        labels: { app: 'web' },
        ip: '127.0.0.1',
        ready: false,
        meshed: true,
        ports: [{ name: 'http', port: 8080 }],
        inboundAddress: 'unix:/run/p/in-{port}.sock',
        owner: 'shop/Deployment/web',
        sidecar: 'node',
      },
    ]);
  });

  it('takes Pods as they were written, and plans no second time what they belong to', async () => {
    const pod = (name: string, more: string): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: {app: web}${more}}
spec: {serviceAccountName: web, containers: [{name: web, image: x}]}
status: {podIP: 10.1.0.1}
`;
    write('a.yaml', `${deployment}---\n${pod('web-abc', ', ownerReferences: [{kind: ReplicaSet, name: web-6}]')}`);
    const { snapshot, workloads } = await read();
    assert.deepEqual(
      snapshot.pods.map(({ name, owner }) => [name, owner]),
      [['web-abc', 'shop/ReplicaSet/web-6']],
    );
    assert.deepEqual(
      workloads.map(({ kind }) => kind),
      ['Deployment'],
    );
  });

  it('reads 1,000 objects in a moment', async () => {
    for (let i = 0; i < 1000; i++) write(`s${i}.yaml`, service(`s${i}`));
    const started = performance.now();
    const { snapshot } = await read();
    assert.equal(snapshot.services.length, 1000);
    assert.equal(new Set(snapshot.services.flatMap(({ clusterIPs }) => clusterIPs)).size, 1000);
    assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`);
  });
});
