import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import type { DemoReport } from '../../pkg/cli/demo-check.ts';
import { dist, makeFolder, tulle } from './tulle-process.ts';

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
