import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Call } from '../../pkg/observability/call.ts';
import { startBookstore, type RunningMesh } from './running-mesh.ts';
import { eventually, makeFolder, tulle } from './tulle-process.ts';

interface Changed {
  readonly source: string;
  readonly service: string;
}

interface WhatIfResult {
  readonly replayed: number;
  readonly unchanged: number;
  readonly denied: readonly Changed[];
  readonly allowed: readonly Changed[];
}

interface Suggestion {
  readonly objects: readonly { readonly kind: string }[];
  readonly proof: { readonly wanted: number; readonly allowed: number; readonly othersCount: number };
}

/** What is asked of a mesh that runs, by programs beside it that hear of it over HTTP alone. */
describe('whatif and suggest, of a mesh that runs', function () {
  this.timeout(90_000);
  const folder = makeFolder('whatif');
  const dir = join(folder.path, 'demo');
  let mesh: RunningMesh;

  const stolen = async (): Promise<readonly Call[]> =>
    (await mesh.calls()).filter(({ source, verdict }) => source === 'bookthief/bookthief' && verdict === 'denied');

  before(async () => {
    mesh = await startBookstore(dir);
    await eventually('purchases and attempts', async () => {
      const calls = await mesh.calls();
      const bought = calls.filter(({ source, verdict }) => source === 'bookbuyer/bookbuyer' && verdict === 'allowed');
      return bought.length > 20 && (await stolen()).length > 5 ? true : undefined;
    });
  });
  after(async () => {
    assert.equal(await mesh?.stop(), 0);
    folder.remove();
  });

  /** The policy of the demo with a change, as a file beside it. */
  function changed(name: string, change: (text: string) => string): string {
    const file = join(folder.path, name);
    writeFileSync(file, change(readFileSync(join(dir, 'access.yaml'), 'utf8')));
    return file;
  }

  async function whatIf(file: string): Promise<{ readonly code: number; readonly result: WhatIfResult }> {
    const { code, output } = await tulle(['whatif', '-f', file, '-o', 'json'], { cwd: dir });
    return { code, result: JSON.parse(output) as WhatIfResult };
  }

  it('whatif says that nothing changes under the policy that is there', async () => {
    const { code, result } = await whatIf(join(dir, 'access.yaml'));
    assert.equal(code, 0);
    assert.deepEqual([result.denied, result.allowed], [[], []]);
    assert.ok(result.replayed > 20 && result.unchanged > 20);
  });

  it('whatif names who would be refused, and exits with 1', async () => {
    const file = changed('without-buyer.yaml', (text) =>
      text.replaceAll('name: bookbuyer, namespace', 'name: nobody, namespace'),
    );
    const { code, result } = await whatIf(file);
    assert.equal(code, 1);
    assert.deepEqual([...new Set(result.denied.map(({ source }) => source))], ['bookbuyer/bookbuyer']);
    assert.deepEqual(result.allowed, []);
  });

  it('suggest writes the policy that lets the thief in and nobody else, and whatif says the same of it', async () => {
    const { code, output } = await tulle(['suggest', '-n', 'bookstore', '-o', 'json'], { cwd: dir });
    const { objects, proof } = JSON.parse(output) as Suggestion;
    assert.equal(code, 0, output);
    assert.ok(objects.some(({ kind }) => kind === 'TrafficTarget'));
    assert.ok(proof.wanted >= 5 && proof.allowed === proof.wanted);
    assert.equal(proof.othersCount, 0);
    const file = join(folder.path, 'suggested.yaml');
    writeFileSync(file, objects.map((object) => JSON.stringify(object)).join('\n---\n'));
    const { result } = await whatIf(file);
    assert.deepEqual(result.denied, []);
    assert.deepEqual([...new Set(result.allowed.map(({ source }) => source))], ['bookthief/bookthief']);
  });

  it('suggest of one trace speaks of that alone, and of one that is not there it says so', async () => {
    const [one] = await stolen();
    assert.ok(one);
    const { code, output } = await tulle(['suggest', '--trace', one.traceId, '-o', 'json'], { cwd: dir });
    assert.equal(code, 0, output);
    assert.equal((JSON.parse(output) as Suggestion).proof.wanted, 1);
    const none = await tulle(['suggest', '--trace', 'f'.repeat(32)], { cwd: dir });
    assert.equal(none.code, 2);
    assert.match(none.output, /no call of trace f{32} is kept/);
  });
});
