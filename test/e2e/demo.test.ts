import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import type { DemoReport } from '../../pkg/cli/demo-check.ts';
import { makeFolder, tulle } from './tulle-process.ts';

describe('tulle demo --summary', function () {
  this.timeout(90_000);

  for (const isolation of ['isolated', 'proxy']) {
    it(`ends by itself and everything held, ${isolation}`, async () => {
      const folder = makeFolder('demo');
      const summary = join(folder.path, 'out.json');
      const { code, output } = await tulle([
        'demo',
        '--isolation',
        isolation,
        '--run-for',
        '20s',
        '--summary',
        summary,
      ]);
      const report = JSON.parse(readFileSync(summary, 'utf8')) as DemoReport;
      assert.deepEqual(
        report.checks.filter(({ ok }) => !ok),
        [],
        output,
      );
      assert.equal(code, 0, output);
      assert.equal(report.mesh.isolation, isolation);
      assert.ok(report.checks.length >= 7);
      folder.remove();
    });
  }

  it('fails when bookthief is let in', async () => {
    const folder = makeFolder('let-in');
    const dir = join(folder.path, 'demo');
    const { cpSync, readFileSync: read, writeFileSync } = await import('node:fs');
    const { dist } = await import('./tulle-process.ts');
    cpSync(join(dist, 'demo', 'bookstore'), dir, { recursive: true });
    const access = read(join(dir, 'access.yaml'), 'utf8');
    const more = '    - { kind: ServiceAccount, name: bookthief, namespace: bookthief }\n';
    writeFileSync(
      join(dir, 'access.yaml'),
      access.replaceAll(/( +- \{ kind: ServiceAccount, name: bookbuyer.*\n)/g, `$1${more}`),
    );
    const { code, output } = await tulle(['demo', dir, '--run-for', '12s']);
    assert.equal(code, 1, output);
    assert.match(output, /FAILS {2}bookthief gets 403 on every purchase/);
    assert.match(output, /holds {2}bookbuyer is served/);
    folder.remove();
  });
});
