import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { processesWith } from './process-table.ts';
import { startBookstore, tallyOf, type RunningMesh } from './running-mesh.ts';
import { eventually, makeFolder } from './tulle-process.ts';

interface Kind {
  readonly sidecar: 'node' | 'envoy';
  /** Within which a split that was edited is followed. */
  readonly splitMs: number;
  /** The process that is the sidecar of a pod. */
  readonly pid: (mesh: RunningMesh, pod: string) => number | undefined;
}

const kinds: readonly Kind[] = [
  { sidecar: 'node', splitMs: 5_000, pid: (mesh, pod) => mesh.program('sidecar.js', pod) },
  {
    sidecar: 'envoy',
    splitMs: 1_000,
    pid: ({ run }, pod) =>
      processesWith(run).find(({ command }) => command.includes('--config-path') && command.includes(pod))?.pid,
  },
];

for (const { sidecar, splitMs, pid: pidOf } of kinds)
  describe(`a mesh of ${sidecar} sidecars that is edited and hit while it runs`, function () {
    this.timeout(60_000);
    const folder = makeFolder(`live-${sidecar}`);
    const dir = join(folder.path, 'demo');
    let mesh: RunningMesh;

    before(async () => {
      mesh = await startBookstore(dir, '--sidecar', sidecar);
      await eventually('purchases', async () => ((await tallyOf(mesh)).booksBought > 20 ? true : undefined));
    });
    after(async () => {
      assert.equal(await mesh?.stop(), 0);
      folder.remove();
    });

    const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
    /** As editors save: another file in its place. Returns when. */
    const save = (name: string, text: string): number => {
      writeFileSync(join(dir, `.${name}.new`), text);
      const now = Date.now();
      renameSync(join(dir, `.${name}.new`), join(dir, name));
      return now;
    };
    const report = (what: string, ms: number): void =>
      void process.stdout.write(`      ${what}: ${Math.round(ms)} ms\n`);
    /** Bookbuyer's own count of what was not served must stand still. */
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
        const settled = await eventually('only v2 sells', async () => {
          const sold = (await mesh.calls('1m')).filter(({ split, time }) => split !== '' && time > edited);
          const since = sold
            .filter(({ backend }) => backend !== 'bookstore-v2')
            .reduce((last, { time }) => Math.max(last, time), edited);
          return sold.filter(({ time }) => time > since).length > 20 ? since : undefined;
        });
        report('the last purchase from the old version, after the edit', settled - edited);
        assert.ok(settled - edited < splitMs);
        save('split.yaml', text);
      }));

    it('follows an edit of who has access, both ways, on connections that are open', () =>
      withoutLoss(async () => {
        const text = read('access.yaml');
        const thief = '    - { kind: ServiceAccount, name: bookthief, namespace: bookthief }\n';
        const statusSince = async (edited: number, status: number): Promise<number | undefined> =>
          (await mesh.calls('1m')).find(
            ({ source, path, time, status: got }) =>
              source === 'bookthief/bookthief' && path.startsWith('/buy') && got === status && time > edited,
          )?.time;
        const letIn = save(
          'access.yaml',
          text.replaceAll(/( +- \{ kind: ServiceAccount, name: bookbuyer.*\n)/g, `$1${thief}`),
        );
        const first = await eventually('bookthief gets 200', () => statusSince(letIn, 200));
        report('bookthief is let in', first - letIn);
        const barred = save('access.yaml', text);
        const denied = await eventually('bookthief gets 403', () => statusSince(barred + 1, 403));
        report('bookthief is barred', denied - barred);
      }));

    it('tells a broken edit with its place, and its neighbours stay in force', () =>
      withoutLoss(async () => {
        const text = read('access.yaml');
        save('access.yaml', text.replace('pathRegex: /restock-books', 'pathRegex: "(?=x)/restock-books"'));
        const line = await mesh.line(
          /access\.yaml:\d+:\d+: error: HTTPRouteGroup bookwarehouse\/bookwarehouse-service-routes .*Fix: .*\[Regex\w+\]/,
        );
        const [, number = '0'] = /:(\d+):\d+: error: HTTPRouteGroup/.exec(line) ?? [];
        assert.match(text.split('\n')[Number(number) - 1] ?? '', /pathRegex/);
        await mesh
          .as('bookstore/bookstore-v1', [
            'curl',
            '-sS',
            '-X',
            'POST',
            'http://bookwarehouse.bookwarehouse:14001/restock-books',
          ])
          .then(({ output }) =>
            assert.match(
              output,
              /^RBAC: access denied\ntulle: \w+: bookstore\/bookstore-v1 -> bookwarehouse\/bookwarehouse:14001 POST/,
            ),
          );
        save('access.yaml', text);
        await mesh.line(/cured: .*HTTPRouteGroup/);
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
        await eventually('both pods sell', async () => {
          const pods = new Set(
            (await mesh.calls('5s'))
              .filter(({ backend }) => backend === 'bookstore-v1')
              .map(({ serverPod }) => serverPod),
          );
          return pods.size >= 2 ? true : undefined;
        });
        save('bookstore.yaml', scaled.replace('value: bookstore-v1', 'value: bookstore-v1-again'));
        await eventually('the new version sells', async () => {
          const name = JSON.parse(await mesh.visit(/^bookbuyer\//, '/raw')) as object;
          const pods = (await mesh.calls('2s'))
            .filter(({ backend }) => backend === 'bookstore-v1')
            .map(({ serverPod }) => serverPod);
          return name && pods.length > 5 && mesh.output().match(/bookstore-v1-\w+-\d: gone/g)?.length === 2
            ? true
            : undefined;
        });
        save('bookstore.yaml', text);
        await eventually('the old ones are back', () =>
          (mesh.output().match(/bookstore-v1-\w+-\d: gone/g)?.length ?? 0) >= 4 ? true : undefined,
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
        const text = read('split.yaml');
        save('split.yaml', text.replace('weight: 90', 'weight: 80'));
        await eventually('it takes edits', async () => {
          const { splits } = (await fetch(`${mesh.api()}/api/mesh`)
            .then((answer) => answer.json())
            .catch(() => ({ splits: [] }))) as { splits: { wanted: { weight: number }[] }[] };
          return splits[0]?.wanted[0]?.weight === 80 ? true : undefined;
        });
        save('split.yaml', text);
      }));

    it('starts a sidecar again that was killed', async () => {
      const pid = pidOf(mesh, 'bookstore-bookstore-v2');
      assert.ok(pid !== undefined);
      process.kill(pid, 'SIGKILL');
      await mesh.line(/bookstore\/bookstore-v2-\w+-0: (Error|Ready \(1 restart\))/);
      await mesh.line(/bookstore\/bookstore-v2-\w+-0: Ready \(1 restart\)/);
      const { code, output } = await mesh.as('bookbuyer/bookbuyer', [
        'curl',
        '-sSf',
        'http://bookstore-v2.bookstore:14001/buy-a-book/new',
      ]);
      assert.equal(code, 0, output);
    });
  });
