import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { startMesh, type RunningMesh } from './running-mesh.ts';
import { eventually, makeFolder } from './tulle-process.ts';

const first = 'sleep 0.3; echo one >> order';
const second = 'if [ ! -e flag ]; then touch flag; exit 3; fi; echo two >> order';
const main = 'echo three >> order; echo from web; exec sleep 1000';
/** Answers well until it is a second old; once there was one before it, always. */
const tiring = `const fs = require('fs'); const old = fs.existsSync('tired'); const start = Date.now(); fs.writeFileSync('tired', '');
  require('http').createServer((q, a) => { a.statusCode = old || Date.now() - start < 1000 ? 200 : 500; a.end(); }).listen(8081);`;
/** Needs longer than its liveness probe would wait. */
const slow = `setTimeout(() => require('http').createServer((q, a) => a.end()).listen(8082), 2500);`;

const shell = (script: string): string => JSON.stringify(['sh', '-c', script]);
const pod = (name: string, spec: string): string => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec:
${spec}
---
`;

const yaml = [
  pod(
    'ordered',
    `  initContainers:
  - { name: first, command: ${shell(first)} }
  - { name: volumes, command: ${shell('echo wrong >> order')}, volumeMounts: [{ name: data, mountPath: /data }] }
  - { name: second, command: ${shell(second)} }
  - { name: not-here, command: [no-such-program] }
  containers:
  - { name: web, command: ${shell(main)} }
  - { name: other, command: ${shell('echo from other; exec sleep 1000')} }`,
  ),
  pod(
    'tiring',
    `  containers:
  - name: web
    command: ${JSON.stringify(['node', '-e', tiring])}
    ports: [{ containerPort: 8081 }]
    livenessProbe: { httpGet: { path: /, port: 8081 }, periodSeconds: 1, failureThreshold: 2 }`,
  ),
  pod(
    'slow',
    `  containers:
  - name: web
    command: ${JSON.stringify(['node', '-e', slow])}
    ports: [{ containerPort: 8082 }]
    startupProbe: { tcpSocket: { port: 8082 }, periodSeconds: 1, failureThreshold: 30 }
    livenessProbe: { tcpSocket: { port: 8082 }, periodSeconds: 1, failureThreshold: 1 }`,
  ),
  pod(
    'stuck',
    `  initContainers: [{ name: never, command: [sh, -c, exit 7] }]\n  containers: [{ name: web, command: [sleep, '9'] }]`,
  ),
].join('');

for (const isolation of ['isolated', 'proxy'] as const) {
  describe(`containers of a pod, ${isolation}`, function () {
    this.timeout(60_000);
    const folder = makeFolder(`containers-${isolation}`);
    const files = join(folder.path, 'mesh');
    let mesh: RunningMesh;

    before(async () => {
      mkdirSync(files);
      writeFileSync(join(files, 'pods.yaml'), yaml);
      mesh = await startMesh(files, ['up', '-f', files, '--isolation', isolation]);
    });
    after(async () => {
      assert.equal(await mesh?.stop(), 0);
      folder.remove();
    });

    it('init containers run in order, each until it has succeeded, and before the others', async () => {
      await mesh.line(/shop\/ordered: Ready/);
      // One without a port is ready when it runs.
      const order = await eventually('the last of them', () => {
        const text = readFileSync(join(files, 'order'), 'utf8');
        return text.includes('three') ? text : undefined;
      });
      assert.equal(order, 'one\ntwo\nthree\n');
      assert.match(mesh.output(), /init container "volumes" is not run here: it works with volumes/);
      assert.match(mesh.output(), /init container "not-here" is not run here: no program/);
    });

    it('one that fails is tried again, and shown; the others wait', async () => {
      await mesh.line(/shop\/stuck: Init:CrashLoopBackOff.*never: ended with 7, started again in/);
    });

    it('what keeps failing its liveness probe is restarted, and shown', async () => {
      await mesh.line(/shop\/tiring: Unhealthy: web: its liveness probe failed: HTTP 500, started again in/);
      await mesh.line(/shop\/tiring: Ready \(1 restart\)/);
    });

    it('a startup probe holds the others back', async () => {
      await mesh.line(/shop\/slow: Ready(?! \()/);
      assert.doesNotMatch(mesh.output(), /shop\/slow: Unhealthy/);
    });

    it('who says what in the log of a pod is told where it has several containers', async () => {
      const [own = ''] = readdirSync(join(mesh.run, 'p')).filter((name) => name.includes('ordered'));
      await eventually('the lines of both', () => {
        const lines = readFileSync(join(mesh.run, 'p', own, 'app.log'), 'utf8').split('\n');
        return ['web | from web', 'other | from other'].every((line) => lines.includes(line)) || undefined;
      });
    });
  });
}
