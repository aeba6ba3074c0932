import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { startMesh, type RunningMesh } from './running-mesh.ts';
import { makeFolder } from './tulle-process.ts';

const programs = join(import.meta.dirname, 'programs');

/** A folder with the servers, and node_modules above it, as a user's project has. */
function makeProject(name: string): ReturnType<typeof makeFolder> & { readonly mesh: string } {
  const folder = makeFolder(name);
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(folder.path, 'node_modules'));
  const mesh = join(folder.path, 'mesh');
  mkdirSync(mesh);
  for (const file of readdirSync(programs)) copyFileSync(join(programs, file), join(mesh, file));
  return { ...folder, mesh };
}

function has(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

for (const isolation of ['isolated', 'proxy'] as const) {
  describe(`programs as workloads, ${isolation}`, function () {
    this.timeout(60_000);
    const project = makeProject(isolation);
    let mesh: RunningMesh;

    before(async () => {
      mesh = await startMesh(project.mesh, ['up', '-f', project.mesh, '--isolation', isolation]);
      for (const pod of ['echo-\\w+-0', 'other-\\w+-0', 'db-0', 'db-1', 'talk-\\w+-0']) {
        await mesh.line(new RegExp(`tools/${pod}: Ready`));
      }
    });
    after(async () => {
      assert.equal(await mesh?.stop(), 0);
      project.remove();
    });

    const url = 'http://echo.tools.svc.cluster.local/hello';
    const python = `import urllib.request as u; print(u.urlopen("${url}").read().decode())`;
    /** Node's fetch reads no proxy variables in Node 20: it needs isolation (DECISIONS L2). */
    const clients: Record<string, { command: string[]; needs?: 'isolated' }> = {
      curl: { command: ['curl', '-sSf', url] },
      python: { command: ['python3', '-c', python] },
      "node's fetch": {
        command: ['node', '-e', `fetch("${url}").then(async (a) => console.log(await a.text()))`],
        needs: 'isolated',
      },
    };
    for (const [name, { command, needs }] of Object.entries(clients)) {
      it(`${name} is served`, async function () {
        if ((needs !== undefined && needs !== isolation) || !has(command[0] ?? '', '--version')) return this.skip();
        const { code, output } = await mesh.as('tools/client', command);
        assert.equal(code, 0, output);
        assert.match(output, /"path":"\/hello","name":"one"/);
      });
    }

    it('Go is served', async function () {
      if (!has('go', 'version')) return this.skip();
      // The first build compiles the standard library.
      this.timeout(300_000);
      const source = join(project.path, 'main.go');
      copyFileSync(join(programs, 'main.go.txt'), source);
      const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GO111MODULE: 'off' };
      execFileSync('go', ['build', '-o', join(project.path, 'client'), source], { env, stdio: 'pipe' });
      const { code, output } = await mesh.as('tools/client', [join(project.path, 'client'), url]);
      assert.equal(code, 0, output);
      assert.match(output, /^200 .*"path":"\/hello"/);
    });

    it('grpc-js is served, and denied with 7', async () => {
      const call = ['node', join(project.mesh, 'grpc.mjs'), 'call', 'talk.tools.svc.cluster.local:50051'];
      const allowed = await mesh.as('tools/client', call);
      assert.deepEqual(allowed, { code: 0, output: 'heard hello\n' });
      const denied = await mesh.as('tools/stranger', call);
      assert.equal(denied.code, 3);
      assert.match(denied.output, /^7 /);
    });

    it('two workloads listen on one port of their own', async () => {
      const { output } = await mesh.as('tools/client', ['curl', '-sSf', 'http://other.tools:8080/']);
      assert.match(output, /"name":"two"/);
    });

    it('a stranger is told why it is denied', async () => {
      const { code, output } = await mesh.as('tools/stranger', ['curl', '-sS', '-w', '%{http_code}', url]);
      assert.equal(code, 0);
      assert.match(
        output,
        /^RBAC: access denied\ntulle: SourceNotAllowed: tools\/stranger -> tools\/echo:80 GET \/hello; ask: tulle explain .*\n403$/,
      );
    });

    it("the exit code is the program's, and its output is only its own", async () => {
      assert.deepEqual(await mesh.as('tools/client', ['sh', '-c', 'echo out; exit 9']), { code: 9, output: 'out\n' });
      assert.equal((await mesh.as('tools/client', ['no-such-program'])).code, 2);
      assert.equal((await mesh.as('nonsense', ['true'])).code, 2);
    });

    if (isolation !== 'isolated') return;

    it('a server that speaks first does so to those that may hear it; each of a set has its name', async () => {
      const ask = (account: string, host: string): ReturnType<RunningMesh['as']> =>
        mesh.as(account, ['node', join(project.mesh, 'ask-greeter.mjs'), host, '3306']);
      for (const pod of ['db-0', 'db-1']) {
        assert.deepEqual(await ask('tools/client', `${pod}.db.tools.svc.cluster.local`), {
          code: 0,
          output: `${pod} speaks first\nand this comes back\n`,
        });
      }
      assert.match((await ask('tools/client', 'db.tools')).output, /^db-[01] speaks first\n/);
      assert.deepEqual(await ask('tools/stranger', 'db-0.db.tools'), { code: 3, output: 'nothing\n' });
    });

    it('an app sees no secret, no other process, and can not touch its network', async () => {
      const script = [
        `ls -A ${mesh.run.replace(/\/[^/]+$/, '')}`,
        'ls /proc | grep -c "^[0-9]"',
        'ip addr add 192.0.2.9/32 dev lo 2>&1',
        'nft list ruleset 2>&1 || iptables -t nat -S 2>&1',
        'umount /etc/hosts 2>&1',
        'ls -A /run',
        'grep CapEff /proc/self/status',
      ].join('; ');
      const { output } = await mesh.as('tools/stranger', ['sh', '-c', script]);
      assert.doesNotMatch(output, /mesh\.json|token|\.sock|tulle_out/);
      assert.match(output, /^\d\n/);
      assert.match(output, /Operation not permitted/);
      assert.match(output, /CapEff:\s0000000000000000/);
    });

    it('what is not of the mesh is refused at once', async () => {
      const { output } = await mesh.as('tools/client', [
        'curl',
        '-sS',
        '-m',
        '5',
        '-w',
        '%{time_total}',
        'http://192.0.2.1/',
      ]);
      assert.match(output, /EgressDenied: 192\.0\.2\.1:80 is not of the mesh/);
      assert.ok(Number(/([\d.]+)$/.exec(output.trim())?.[1] ?? 0) < 1);
    });
  });
}

describe('two meshes at once', function () {
  this.timeout(60_000);

  it('do not meet', async () => {
    const one = makeProject('one');
    const two = makeProject('two');
    const meshes = await Promise.all([one, two].map(({ mesh }) => startMesh(mesh, ['up', '-f', mesh])));
    for (const mesh of meshes) await mesh.line(/tools\/echo-\w+-0: Ready/);
    assert.equal(new Set(meshes.map((mesh) => mesh.api())).size, 2);
    for (const mesh of meshes) {
      const { code, output } = await mesh.as('tools/client', ['curl', '-sSf', 'http://echo.tools/x']);
      assert.equal(code, 0, output);
    }
    assert.deepEqual(await Promise.all(meshes.map((mesh) => mesh.stop())), [0, 0]);
    one.remove();
    two.remove();
  });
});
