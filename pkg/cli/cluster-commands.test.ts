import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FakeCluster, startFakeCluster } from './fake-cluster.fixture.ts';
import { type Ran, runTulle } from './run-tulle.fixture.ts';

describe('the commands for clusters', function () {
  this.timeout(30_000);
  let cwd = '';
  let cluster: FakeCluster;

  beforeEach(async () => {
    cwd = mkdtempSync(join(tmpdir(), 't-'));
    cluster = await startFakeCluster();
    writeFileSync(join(cwd, 'config'), cluster.kubeconfig());
  });
  afterEach(async () => {
    await cluster.close();
    rmSync(cwd, { recursive: true });
  });

  const tulle = (...argv: readonly string[]): Promise<Ran> =>
    runTulle({ cwd }, ...argv, '--kubeconfig', join(cwd, 'config'));

  describe('a cluster that is not there', () => {
    it('is told with its context, its address and the file', async () => {
      await cluster.close();
      const { exitCode, err } = await tulle('namespace', 'list');
      assert.equal(exitCode, 2);
      assert.match(err, /^tulle: context "fake" \(http:\/\/127\.0\.0\.1:\d+\) can't be reached: /);
    });

    it('is told when the kubeconfig has no such context', async () => {
      const { exitCode, err } = await tulle('namespace', 'list', '--context', 'prod');
      assert.equal(exitCode, 2);
      assert.match(err, /no context "prod"; it has fake/);
    });

    it('is told when there is no such file', async () => {
      const { exitCode, err } = await runTulle({ cwd }, 'namespace', 'list', '--kubeconfig', join(cwd, 'none'));
      assert.equal(exitCode, 2);
      assert.match(err, /none can't be read: ENOENT/);
    });
  });

  describe('tulle check', () => {
    it('--pre finds nothing in the way of an install on an empty cluster', async () => {
      cluster.intercept = (_, path) =>
        path === '/version'
          ? { status: 200, body: { major: '1', minor: '34+', gitVersion: 'v1.34.4' } }
          : path.endsWith('/selfsubjectaccessreviews')
            ? { status: 201, body: { status: { allowed: true } } }
            : path === '/api/v1/nodes'
              ? {
                  status: 200,
                  body: {
                    items: [
                      {
                        status: {
                          nodeInfo: { operatingSystem: 'linux' },
                          conditions: [{ type: 'Ready', status: 'True' }],
                        },
                      },
                    ],
                  },
                }
              : undefined;
      const { exitCode, out } = await tulle('check', '--pre');
      assert.equal(exitCode, 0, out);
      assert.match(out, /^✔ Kubernetes: v1\.34\.4$/m);
      assert.match(out, /^all is well$/m);
    });

    it('--pre refuses a cluster that is too old, rights that are missing, and a second injector', async () => {
      cluster.intercept = (_, path) =>
        path === '/version'
          ? { status: 200, body: { major: '1', minor: '22', gitVersion: 'v1.22.9' } }
          : path.endsWith('/selfsubjectaccessreviews')
            ? { status: 201, body: { status: { allowed: false } } }
            : path.endsWith('/mutatingwebhookconfigurations')
              ? {
                  status: 200,
                  body: {
                    items: [{ metadata: { name: 'osm-webhook-osm' }, webhooks: [{ name: 'osm-inject.k8s.io' }] }],
                  },
                }
              : undefined;
      const { exitCode, out } = await tulle('check', '--pre', '-o', 'json');
      assert.equal(exitCode, 1);
      const { ok, checks } = JSON.parse(out) as {
        ok: boolean;
        checks: { name: string; status: string; hint?: string }[];
      };
      assert.equal(ok, false);
      const wrong = checks.filter(({ status }) => status === 'error');
      assert.deepEqual(
        wrong.map(({ name }) => name),
        ['Kubernetes', 'nodes', 'installing', 'Open Service Mesh'],
      );
      assert.ok(wrong.every(({ hint }) => hint !== undefined));
    });

    it('says that Tulle is not installed, and how it is', async () => {
      cluster.intercept = (_, path) =>
        path === '/version' ? { status: 200, body: { major: '1', minor: '34', gitVersion: 'v1.34.4' } } : undefined;
      const { exitCode, out } = await tulle('check');
      assert.equal(exitCode, 1);
      assert.match(out, /^✖ Deployment: there is no tulle-controller in namespace tulle-system$/m);
      assert.equal(out.match(/helm install tulle/g)?.length, 2, out);
      assert.match(out, /^✖ CRDs: none of 7 is installed$/m);
      assert.doesNotMatch(out, /helm upgrade/);
    });

    it('is 2 when nobody answers', async () => {
      await cluster.close();
      assert.equal((await tulle('check')).exitCode, 2);
    });
  });
});
