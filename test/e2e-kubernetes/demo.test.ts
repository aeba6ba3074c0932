import assert from 'node:assert/strict';
import { pathOf, removeNamespaces, until } from '../support/kubernetes-objects.ts';
import { bookstoreNamespaces } from './bookstore.ts';
import { startTulle } from './command-line.ts';
import { describeMesh } from './mesh.ts';

describeMesh('tulle demo --kubernetes', bookstoreNamespaces, (mesh) => {
  it('runs the bookstore, shows who calls whom, and takes it all away on Ctrl-C', async () => {
    const { api } = mesh();
    // Another part of the suite has just removed its own.
    await removeNamespaces(api, bookstoreNamespaces);
    const { child, out, exited } = startTulle('demo', '--kubernetes', '--context', api.context);
    let code: number | null | undefined;
    void exited.then((status) => (code = status));
    try {
      const page = await until('the page', 60, () => {
        assert.equal(code, undefined, out());
        return Promise.resolve(/page (http:\/\/127\.0\.0\.1:\d+)/.exec(out())?.[1]);
      });
      // Its table has who is let in, and who is not.
      await until('purchases and thefts', 90, () => {
        assert.equal(code, undefined, out());
        const lines = out().split('\n');
        const sees = (from: string, word: RegExp): boolean =>
          lines.some((line) => line.includes(`${from}/${from}`) && word.test(line));
        return Promise.resolve((sees('bookbuyer', /bookstore/) && sees('bookthief', /denied/i)) || undefined);
      }).catch((error: unknown) => assert.fail(`${(error as Error).message}\n${out().slice(-4000)}`));
      const report = (await (await fetch(`${page}/api/mesh`)).json()) as { splits: { split: string }[] };
      assert.ok(report.splits.length > 0, JSON.stringify(report.splits));
    } finally {
      child.kill('SIGINT');
    }
    assert.equal(await exited, 0, out());
    for (const name of bookstoreNamespaces)
      assert.equal(await api.find(pathOf('v1', 'Namespace', undefined, name)), undefined, name);
    await assert.rejects(fetch(/page (http:\S+)/.exec(out())?.[1] ?? ''), 'the page is gone');
  });
});
