import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { DemoReport } from '../../pkg/cli/demo-check.ts';
import { processesWith } from './process-table.ts';
import { startBookstore, tallyOf, type RunningMesh } from './running-mesh.ts';
import { dist, eventually, makeFolder, tulle } from './tulle-process.ts';

describe('the demo with Envoy', function () {
  this.timeout(90_000);

  const everythingHolds = async (args: readonly string[]): Promise<void> => {
    const folder = makeFolder('envoy');
    const summary = join(folder.path, 'out.json');
    const { code, output } = await tulle(['demo', ...args, '--run-for', '20s', '--summary', summary]);
    const report = JSON.parse(readFileSync(summary, 'utf8')) as DemoReport;
    assert.deepEqual(
      report.checks.filter(({ ok }) => !ok),
      [],
      output,
    );
    assert.equal(code, 0, output);
    folder.remove();
  };

  for (const isolation of ['isolated', 'proxy']) {
    it(`ends by itself and everything held, ${isolation}`, () =>
      everythingHolds(['--sidecar', 'envoy', '--isolation', isolation]));
  }

  it('holds as well where each kind of sidecar talks to the other', async () => {
    const folder = makeFolder('mixed');
    const dir = join(folder.path, 'demo');
    mkdirSync(dir);
    cpSync(join(dist, 'demo', 'bookstore'), dir, { recursive: true });
    for (const [file, workload] of [
      ['bookstore.yaml', 'bookstore-v1'],
      ['bookwarehouse.yaml', 'bookwarehouse'],
      ['bookthief.yaml', 'bookthief'],
    ] as const) {
      const documents = readFileSync(join(dir, file), 'utf8').split('\n---\n');
      const changed = documents.map((text) =>
        text.includes('kind: Deployment') && text.includes(`name: ${workload},`)
          ? text.replace('annotations: { ', 'annotations: { tulle.dev/sidecar: envoy, ')
          : text,
      );
      assert.notDeepEqual(changed, documents, file);
      writeFileSync(join(dir, file), changed.join('\n---\n'));
    }
    await everythingHolds([dir]);
    folder.remove();
  });
});

describe('a mesh of Envoys that is edited and hit while it runs', function () {
  this.timeout(60_000);
  const folder = makeFolder('envoys');
  const dir = join(folder.path, 'demo');
  let mesh: RunningMesh;

  before(async () => {
    mesh = await startBookstore(dir, '--sidecar', 'envoy');
    await eventually('purchases', async () => ((await tallyOf(mesh)).booksBought > 20 ? true : undefined));
  });
  after(async () => {
    assert.equal(await mesh?.stop(), 0);
    folder.remove();
  });

  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  const save = (name: string, text: string): number => {
    writeFileSync(join(dir, `.${name}.new`), text);
    const now = Date.now();
    renameSync(join(dir, `.${name}.new`), join(dir, name));
    return now;
  };
  async function withoutLoss(action: () => Promise<void>): Promise<void> {
    const { notServed, booksBought } = await tallyOf(mesh);
    await action();
    await eventually('more purchases', async () =>
      (await tallyOf(mesh)).booksBought > booksBought + 20 ? true : undefined,
    );
    assert.equal((await tallyOf(mesh)).notServed, notServed);
  }

  it('follows an edit of a split', () =>
    withoutLoss(async () => {
      const text = read('split.yaml');
      const edited = save('split.yaml', text.replace('weight: 90', 'weight: 0').replace('weight: 10', 'weight: 100'));
      await eventually('only v2 sells', async () => {
        const calls = (await mesh.calls('1m')).filter(({ split, time }) => split !== '' && time > edited + 1_000);
        const backends = new Set(calls.map(({ backend }) => backend));
        return calls.length > 20 && backends.size === 1 && backends.has('bookstore-v2') ? true : undefined;
      });
      save('split.yaml', text);
    }));

  it('follows an edit of who has access, both ways, on connections that are open', () =>
    withoutLoss(async () => {
      const text = read('access.yaml');
      const thief = '    - { kind: ServiceAccount, name: bookthief, namespace: bookthief }\n';
      const statusSince = async (edited: number, status: number): Promise<true | undefined> =>
        (await mesh.calls('1m')).some(
          ({ source, path, time, status: got }) =>
            source === 'bookthief/bookthief' && path.startsWith('/buy') && got === status && time > edited,
        ) || undefined;
      const letIn = save(
        'access.yaml',
        text.replaceAll(/( +- \{ kind: ServiceAccount, name: bookbuyer.*\n)/g, `$1${thief}`),
      );
      await eventually('bookthief gets 200', () => statusSince(letIn, 200));
      const barred = save('access.yaml', text);
      await eventually('bookthief gets 403', () => statusSince(barred + 1, 403));
    }));

  it('loses nothing when a Deployment is scaled and rolled', () =>
    withoutLoss(async () => {
      const text = read('bookstore.yaml');
      const scaled = text.replace(
        'metadata: { name: bookstore-v1, namespace: bookstore }\nspec:\n  replicas: 1',
        'metadata: { name: bookstore-v1, namespace: bookstore }\nspec:\n  replicas: 2',
      );
      assert.notEqual(scaled, text);
      save('bookstore.yaml', scaled);
      await mesh.line(/bookstore\/bookstore-v1-\w+-1: Ready/);
      save('bookstore.yaml', scaled.replace('value: bookstore-v1', 'value: bookstore-v1-again'));
      await eventually('the old ones are gone', () =>
        (mesh.output().match(/bookstore-v1-\w+-\d: gone/g)?.length ?? 0) >= 2 ? true : undefined,
      );
    }));

  it('goes on while the controller is killed and comes again', () =>
    withoutLoss(async () => {
      const pid = mesh.program('controller.js');
      assert.ok(pid !== undefined);
      process.kill(pid, 'SIGKILL');
      await mesh.line(/the controller ended with SIGKILL/);
      await eventually('another one answers', () => {
        const next = mesh.program('controller.js');
        return next !== undefined && next !== pid ? true : undefined;
      });
      await eventually('its API answers', () =>
        fetch(`${mesh.api()}/api/mesh`).then(
          () => true,
          () => undefined,
        ),
      );
    }));

  it('starts an Envoy again that was killed', async () => {
    const pid = processesWith(mesh.run).find(
      ({ command }) => command.includes('--config-path') && command.includes('bookstore-bookstore-v2'),
    )?.pid;
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await mesh.line(/bookstore\/bookstore-v2-\w+-0: Ready \(1 restart\)/);
    const { code, output } = await mesh.as('bookbuyer/bookbuyer', [
      'curl',
      '-sSf',
      'http://bookstore-v2.bookstore:14001/buy-a-book/new',
    ]);
    assert.equal(code, 0, output);
  });
});
