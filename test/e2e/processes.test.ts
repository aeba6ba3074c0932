import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import { processesWith } from './process-table.ts';
import { endStarted, eventually, makeFolder, startTulle, tulle } from './tulle-process.ts';

/** A workload without a sidecar: only the machinery of processes is meant here. */
function deployment(name: string, command: readonly string[], more = ''): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} }, annotations: { tulle.dev/sidecar: none } }
    spec:
      containers:
        - name: main
          image: example.com/${name}:v1
          command: ${JSON.stringify(command)}
${more}`;
}

const sleeper = (mark: string): readonly string[] => ['node', '-e', `setInterval(() => {}, 1000); // ${mark}`];

for (const isolation of ['isolated', 'proxy'] as const) {
  describe(`processes, ${isolation}`, function () {
    afterEach(endStarted);
    this.timeout(60_000);
    const up = (folder: string, ...args: string[]): ReturnType<typeof startTulle> =>
      startTulle(['up', '-f', folder, '--isolation', isolation, ...args], { env: { XDG_RUNTIME_DIR: '' } });

    it('starts, restarts what crashes and shows it, ends with nothing left', async () => {
      const folder = makeFolder('crash');
      const mark = `mark-${folder.path}`;
      writeFileSync(join(folder.path, 'a.yaml'), deployment('steady', sleeper(mark)));
      writeFileSync(
        join(folder.path, 'b.yaml'),
        deployment('crash', ['node', '-e', 'console.log("dying"); process.exit(3)']),
      );
      const mesh = up(folder.path, '--logs');
      try {
        await mesh.line(/shop\/steady-\w+-0: Ready/);
        await mesh.line(/shop\/crash-\w+-0 main \| dying/);
        await mesh.line(/shop\/crash-\w+-0: CrashLoopBackOff \(\d+ restarts?\).*ended with 3, started again in/);
        assert.ok(processesWith(mark).length > 0);
      } finally {
        assert.equal(await mesh.stop(), 0);
      }
      assert.deepEqual(processesWith(mark), []);
      folder.remove();
    });

    it('leaves no orphan when the supervisor is killed, and the next start clears its directory away', async () => {
      const folder = makeFolder('orphan');
      const mark = `mark-${folder.path}`;
      writeFileSync(join(folder.path, 'a.yaml'), deployment('steady', sleeper(mark)));
      const mesh = up(folder.path);
      const [, run = ''] = /(\/\S+)\/p$/.exec(await mesh.line(/processes keep their output in/)) ?? [];
      await mesh.line(/shop\/steady-\w+-0: Ready/);
      assert.ok(processesWith(mark).length > 0);
      mesh.child.kill('SIGKILL');
      await mesh.ended;
      await eventually(
        'all processes end',
        () => (processesWith(mark).length === 0 && processesWith(run).length === 0) || undefined,
      );
      assert.equal(
        (
          await tulle(['up', '-f', folder.path, '--isolation', isolation, '--run-for', '2s'], {
            env: { XDG_RUNTIME_DIR: '' },
          })
        ).code,
        0,
      );
      assert.throws(() => readdirSync(run), /ENOENT/);
      folder.remove();
    });

    it('rolls, scales and removes as the file says', async () => {
      const folder = makeFolder('roll');
      const file = join(folder.path, 'a.yaml');
      const write = (mark: string, replicas: number): void =>
        writeFileSync(
          file,
          deployment('web', sleeper(`${mark}-${folder.path}`)).replace('spec:\n', `spec:\n  replicas: ${replicas}\n`),
        );
      const count = (mark: string): number =>
        processesWith(`// ${mark}-${folder.path}`).filter(({ command }) => /^\S*node -e/.test(command)).length;
      write('one', 1);
      const mesh = up(folder.path);
      try {
        await mesh.line(/shop\/web-\w+-0: Ready/);
        write('one', 2);
        await mesh.line(/shop\/web-\w+-1: Ready/);
        await eventually('both run', () => count('one') === 2 || undefined);
        write('two', 1);
        await eventually(
          'the new one runs and the old ones are gone',
          () => (count('two') === 1 && count('one') === 0) || undefined,
        );
        writeFileSync(file, '');
        await eventually('it is gone', () => count('two') === 0 || undefined);
      } finally {
        await mesh.stop();
      }
      folder.remove();
    });

    it('ends with its terminal', async () => {
      const folder = makeFolder('hangup');
      const mark = `mark-${folder.path}`;
      writeFileSync(join(folder.path, 'a.yaml'), deployment('steady', sleeper(mark)));
      const mesh = up(folder.path);
      await mesh.line(/shop\/steady-\w+-0: Ready/);
      mesh.child.kill('SIGHUP');
      await mesh.ended;
      assert.deepEqual(processesWith(mark), []);
      folder.remove();
    });
  });
}

describe('processes', function () {
  afterEach(endStarted);
  it('ends at once when asked twice, and leaves nothing', async () => {
    const folder = makeFolder('twice');
    const mark = `mark-${folder.path}`;
    // Deaf to SIGTERM: ending in order would take seconds.
    const deaf = ['node', '-e', `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); // ${mark}`];
    writeFileSync(join(folder.path, 'a.yaml'), deployment('deaf', deaf));
    for (const isolation of ['isolated', 'proxy']) {
      const mesh = startTulle(['up', '-f', folder.path, '--isolation', isolation]);
      const [, run = ''] = /(\/\S+)\/p$/.exec(await mesh.line(/processes keep their output in/)) ?? [];
      await mesh.line(/shop\/deaf-\w+-0: Ready/);
      mesh.child.kill('SIGINT');
      await mesh.line(/once more to end at once/);
      mesh.child.kill('SIGINT');
      assert.equal(await mesh.ended, 130);
      const left = () => [...processesWith(mark), ...processesWith(run)];
      await eventually('all processes end', () => left().length === 0 || undefined);
    }
    folder.remove();
  });

  this.timeout(60_000);

  it('names the missing program, the place and the flag; the flag helps', async () => {
    const folder = makeFolder('image');
    writeFileSync(
      join(folder.path, 'a.yaml'),
      deployment('shop', ['/app/shop', '-e', 'console.log("hello from the image")']),
    );
    const args = ['up', '-f', folder.path, '--logs', '--run-for', '3s'];
    const without = await tulle(args);
    assert.equal(without.code, 1);
    assert.match(
      without.output,
      /a\.yaml:12:\d+: error: Deployment shop\/shop .*no program "\/app\/shop" on this machine\. Fix: .*--image example\.com\/shop=PROGRAM/,
    );
    const withImage = await tulle([...args, '--image', 'example.com/shop=node']);
    assert.match(withImage.output, /main \| hello from the image/);
    folder.remove();
  });

  it('says that no workload is there only where there is none', async () => {
    const folder = makeFolder('none');
    const args = ['up', '-f', folder.path, '--run-for', '2s'];
    const none = await tulle(args);
    assert.equal(none.code, 0, none.output);
    assert.match(none.output, /^no workload is in these files yet; they are watched$/m);
    writeFileSync(join(folder.path, 'a.yaml'), deployment('steady', sleeper('steady')));
    const mesh = startTulle(['up', '-f', folder.path]);
    await mesh.line(/shop\/steady-\w+-0: Ready/);
    assert.equal(await mesh.stop(), 0);
    assert.doesNotMatch(mesh.output(), /no workload/);
    folder.remove();
  });

  it('ends with 1 when its time was too short for anything to start', async () => {
    const folder = makeFolder('short');
    writeFileSync(join(folder.path, 'a.yaml'), deployment('steady', sleeper('steady')));
    const { code, output } = await tulle(['up', '-f', folder.path, '--run-for', '0s']);
    assert.equal(code, 1, output);
    assert.match(output, /at the end (not ready: shop\/steady-\w+-0|the files had not been read)/);
    folder.remove();
  });

  it('reads standard input; programs are looked for where the user is', async () => {
    const folder = makeFolder('stdin');
    writeFileSync(join(folder.path, 'here.mjs'), 'console.log("found here"); setInterval(() => {}, 1000);');
    const mesh = startTulle(['up', '-f', '-', '--logs'], {
      cwd: folder.path,
      input: deployment('piped', ['node', 'here.mjs']),
    });
    await mesh.line(/piped-\w+-0 main \| found here/);
    assert.equal(await mesh.stop(), 0);
    folder.remove();
  });

  it('ends with 1 when an object is broken at the end of its time', async () => {
    const folder = makeFolder('broken');
    const file = join(folder.path, 'mesh.yaml');
    const split = (root: string): string =>
      `apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: { name: canary }
spec: { service: ${root}, backends: [{ service: cart, weight: 1 }] }
---
apiVersion: v1
kind: Service
metadata: { name: cart }
spec: { ports: [{ port: 80 }] }
`;
    writeFileSync(file, split('ghost'));
    const { code, output } = await tulle(['up', '-f', file, '--run-for', '2s']);
    assert.match(output, /mesh\.yaml:4:18: .*\[RootNotFound\]/);
    assert.equal(code, 1);
    writeFileSync(file, split('cart'));
    assert.equal((await tulle(['up', '-f', file, '--run-for', '2s'])).code, 0);
    folder.remove();
  });

  it('two on one directory are told apart by their ids; what `tulle run` started ends with its mesh', async () => {
    const folder = makeFolder('visit');
    writeFileSync(join(folder.path, 'mesh.yaml'), deployment('idle', sleeper('visited')));
    const meshes = [startTulle(['up', '-f', folder.path]), startTulle(['up', '-f', folder.path])];
    const ids: string[] = [];
    for (const mesh of meshes) {
      ids.push(/^mesh (\w+)/.exec(await mesh.line(/^mesh /))?.[1] ?? '');
      await mesh.line(/idle-.*: Ready/);
    }
    const { code, output } = await tulle(['run', '--as', 'shop/me', '--', 'true']);
    assert.equal(code, 2, output);
    for (const id of ids) assert.ok(output.includes(id), output);
    const visitor = startTulle(['run', '-f', ids[0] ?? '', '--as', 'shop/me', '--', 'sh', '-c', 'echo here; sleep 60']);
    await visitor.line(/^here$/);
    meshes[0]?.child.kill('SIGKILL');
    assert.equal(await visitor.ended, 1);
    assert.match(visitor.output(), /the mesh has ended/);
    assert.equal(await meshes[1]?.stop(), 0);
    folder.remove();
  });

  it('says who has the port', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const folder = makeFolder('port');
    const { code, output } = await tulle(['up', '-f', folder.path, '--port', String(port)]);
    server.close();
    assert.equal(code, 1);
    assert.match(
      output,
      new RegExp(`port ${port} is in use by \\S+ \\(process ${process.pid}\\): end it, or give another --port`),
    );
    folder.remove();
  });

  it('tells by proxy which two want one port, and what helps', async () => {
    const folder = makeFolder('conflict');
    const ports = '          ports: [{ containerPort: 24711 }]\n';
    const serve = ['node', '-e', 'require("node:net").createServer().listen(24711)'];
    writeFileSync(
      join(folder.path, 'a.yaml'),
      `${deployment('one', serve, ports)}---\n${deployment('two', serve, ports)}`,
    );
    const { code, output } = await tulle(['up', '-f', folder.path, '--isolation', 'proxy', '--run-for', '4s']);
    assert.equal(code, 1);
    assert.match(
      output,
      /shop\/Deployment\/two and shop\/Deployment\/one both want port 24711 of this machine\. Fix: .*tulle\.dev\/port-env/,
    );
    folder.remove();
  });

  it('lets processes go on while their file is broken, and ends them when it is removed', async () => {
    const folder = makeFolder('slip');
    const file = join(folder.path, 'mesh.yaml');
    const good = deployment('steady', sleeper('steady'));
    writeFileSync(file, good);
    const mesh = startTulle(['up', '-f', folder.path]);
    await mesh.line(/steady-\w+-0: Ready/);
    writeFileSync(file, good.replace('{ app: steady }', '{ app: steady'));
    await mesh.line(/^shop\/Deployment\/steady goes on as it was until .*mesh\.yaml can be read whole/);
    await mesh.line(/mesh\.yaml:\d+:\d+: .*\[SyntaxError\]/);
    writeFileSync(file, good);
    await mesh.line(/^cured: /);
    assert.doesNotMatch(mesh.output(), /Stopping|: gone|Pending \(/);
    rmSync(file);
    await mesh.line(/steady-\w+-0: gone/);
    assert.equal(await mesh.stop(), 0);
    folder.remove();
  });

  it('says nothing of its own inside where there are many pods', async () => {
    const folder = makeFolder('many');
    const ports = `          ports: [{ containerPort: 8080 }]
          readinessProbe: { exec: { command: ["true"] } }
`;
    const many = deployment('many', sleeper('many'), ports).replace('spec:', 'spec:\n  replicas: 12');
    writeFileSync(join(folder.path, 'mesh.yaml'), many);
    const mesh = startTulle(['up', '-f', folder.path, '--isolation', 'isolated']);
    await mesh.line(/many-\w+-11: Ready/);
    assert.equal(await mesh.stop(), 0);
    assert.doesNotMatch(mesh.output(), /Warning/);
    folder.remove();
  });

  it('refuses what it is asked wrongly with 2', async () => {
    for (const args of [
      ['up'],
      ['up', '-f', '/nowhere'],
      ['nonsense'],
      ['up', '-f', '.', '--mode', 'maybe'],
      ['up', '-f', '.', '-n', 'Not_A_Name'],
      ['up', '-f', '.', '--otlp', 'localhost'],
      ['demo', '--run-for', 'soon'],
    ]) {
      const { code, output } = await tulle(args);
      assert.equal(code, 2, `${args.join(' ')}: ${output}`);
    }
  });

  it('starts fast', async () => {
    const times: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      const start = performance.now();
      assert.equal((await tulle(['--help'])).code, 0);
      times.push(performance.now() - start);
    }
    assert.ok(Math.min(...times) < 1_000, `${times.join(', ')} ms`);
  });

  it('keeps the output of apps', async () => {
    const folder = makeFolder('logs');
    writeFileSync(
      join(folder.path, 'a.yaml'),
      deployment('talk', ['node', '-e', 'console.log("for the file"); setInterval(() => {}, 1000)']),
    );
    const mesh = startTulle(['up', '-f', folder.path]);
    const [, pods = ''] = /(\/\S+\/p)$/.exec(await mesh.line(/processes keep their output in/)) ?? [];
    await mesh.line(/talk-\w+-0: Ready/);
    const log = await eventually('the log has the line', () => {
      const [pod = ''] = readdirSync(pods);
      const text = readFileSync(join(pods, pod, 'app.log'), 'utf8');
      return text === '' ? undefined : text;
    });
    assert.equal(log, 'for the file\n');
    await mesh.stop();
    folder.remove();
  });
});
