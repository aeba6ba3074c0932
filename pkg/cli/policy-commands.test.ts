import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CliContext } from './context.ts';

const bookstore = join(import.meta.dirname, '../../demo/bookstore/mesh');

interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command in a directory, with no mesh running. */
async function tulle(cwd: string, ...argv: readonly string[]): Promise<Ran> {
  let out = '';
  let err = '';
  const context: CliContext = {
    env: { XDG_RUNTIME_DIR: cwd },
    cwd,
    platform: 'linux',
    uid: 0,
    gid: 0,
    pid: 1,
    node: '',
    dist: cwd,
    version: '0.0.0',
    stdout: { write: (text) => ((out += text), true) },
    stderr: { write: (text) => ((err += text), true) },
    onSignal: () => () => undefined,
    exit: (code) => {
      throw new Error(`exit ${code}`);
    },
  };
  // As the commands themselves are loaded: what is thrown in one must be known in the other.
  const { runCli } = await import('./program.ts');
  return { exitCode: await runCli(argv, context), out, err };
}

describe('the commands about policy', () => {
  let cwd = '';
  const write = (name: string, text: string): void => writeFileSync(join(cwd, name), text);
  before(() => {
    cwd = mkdtempSync(join(tmpdir(), 't-'));
    cpSync(bookstore, join(cwd, 'mesh'), { recursive: true });
    cpSync(bookstore, join(cwd, 'new'), { recursive: true });
    const access = join(cwd, 'new', 'access.yaml');
    writeFileSync(access, readFileSync(access, 'utf8').replace('methods: [POST]', 'methods: [PUT]'));
    write(
      'broken.yaml',
      'apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: s, namespace: n}\nspec: {service: gone, backends: []}\n',
    );
    mkdirSync(join(cwd, 'empty'));
    write('cases.yaml', '- {from: bookthief, to: bookstore.bookstore, path: /buy-a-book/x, expect: deny}\n');
    write('wrong.yaml', '- {from: bookthief, to: bookstore.bookstore, path: /buy-a-book/x, expect: allow}\n');
  });
  after(() => rmSync(cwd, { recursive: true, force: true }));

  const runs: readonly (readonly [exitCode: number, output: RegExp, ...argv: string[]])[] = [
    [
      0,
      /^DENIED {2}SourceNotAllowed$/m,
      'explain',
      'bookthief',
      'bookstore.bookstore',
      'GET',
      '/buy-a-book/x',
      '-f',
      'mesh',
    ],
    [
      0,
      /nearest miss: .* mesh\/access\.yaml:\d+:\d+$/m,
      'explain',
      'bookthief',
      'bookstore.bookstore',
      'GET',
      '/buy-a-book/x',
      '-f',
      'mesh',
    ],
    [
      0,
      /"answer": "deny"/,
      'explain',
      'bookthief',
      'bookstore.bookstore',
      'GET',
      '/buy-a-book/x',
      '-f',
      'mesh',
      '-o',
      'json',
      '--expect',
      'deny',
    ],
    [
      1,
      /expected allow, and it is deny/,
      'explain',
      'bookthief',
      'bookstore.bookstore',
      'GET',
      '/x',
      '-f',
      'mesh',
      '--expect',
      'allow',
    ],
    [2, /no Service "gone"/, 'explain', 'bookthief', 'gone', '-f', 'mesh'],
    [2, /is not a header/, 'explain', 'bookthief', 'bookstore.bookstore', 'GET', '/', '-H', 'x', '-f', 'mesh'],
    [2, /no mesh is running/, 'explain', 'a', 'b'],
    [2, /nothere: there is no such file/, 'explain', 'a', 'b', '-f', 'nothere'],
    [2, /is not a trace id/, 'explain', '--trace', 'xyz'],
    [0, /^29 documents, no problems$/m, 'analyze', 'mesh'],
    [1, /^broken\.yaml:4:17: error: TrafficSplit n\/s: .* \[RootNotFound\]$/m, 'analyze', 'broken.yaml'],
    [1, /"reason": "RootNotFound"/, 'analyze', '-f', 'broken.yaml', '-o', 'json'],
    [1, /"ruleId": "RootNotFound"/, 'analyze', 'broken.yaml', '-o', 'sarif'],
    [0, /"results": \[\]/, 'analyze', 'mesh', '-o', 'sarif'],
    [2, /there is no such file/, 'analyze', 'nothere', '-o', 'sarif'],
    [2, /write tulle analyze/, 'analyze'],
    [2, /nothing was found in empty: no YAML or JSON document; check the path/, 'analyze', 'empty'],
    [2, /nothing was found in empty/, 'analyze', 'empty', '-o', 'json'],
    [0, /1 of 1 cases hold/, 'test', 'cases.yaml', '-f', 'mesh'],
    [1, /FAIL {2}bookthief .* wrong\.yaml:1:3/, 'test', 'wrong.yaml', '-f', 'mesh'],
    [1, /<failure message="expected allow/, 'test', 'wrong.yaml', '-f', 'mesh', '-o', 'junit'],
    [2, /broken\.yaml:1:1: this is no list of cases/, 'test', 'broken.yaml', '-f', 'mesh'],
    [0, /^# Who may call whom$/m, 'test', '-f', 'mesh', '--matrix', '-'],
    [2, /would both write to stdout/, 'test', 'cases.yaml', '-f', 'mesh', '--matrix', '-', '-o', 'json'],
    [2, /write 20s, 1m30s or 500ms/, 'suggest', '--since', 'an hour'],
    [2, /596h at most/, 'up', '-f', 'mesh', '--run-for', '600h'],
    [2, /small letters, digits and "-" only/, 'analyze', '-n', 'A B', 'mesh'],
    [2, /^tulle: gone\/x\.md: its folder is not there$/m, 'test', '-f', 'mesh', '--matrix', 'gone/x.md'],
    [0, /nobody gained or lost access/, 'diff', 'mesh', 'mesh'],
    [1, /lost +bookstore\/bookstore-v1 .* POST \/restock-books/, 'diff', 'mesh', 'new'],
    [2, /there is no such file/, 'diff', 'mesh', 'nothere'],
    [2, /no mesh is running/, 'whatif', '-f', 'new'],
    [2, /write tulle whatif -f NEW/, 'whatif'],
    [2, /no mesh is running/, 'suggest'],
    [2, /no mesh is running/, 'proxy', 'status'],
    [2, /no mesh is running/, 'run', '--as', 'n/a', '--', 'true'],
    [2, /^tulle: nothere\.yaml: there is no such file or directory$/m, 'test', 'nothere.yaml', '-f', 'mesh'],
    [1, /^tulle: broken\.yaml has no Service, so nobody can be called in it/m, 'diff', 'mesh', 'broken.yaml'],
  ];
  for (const [exitCode, output, ...argv] of runs) {
    it(`tulle ${argv.join(' ')}: ${exitCode}`, async () => {
      const ran = await tulle(cwd, ...argv);
      assert.match(ran.out + ran.err, output);
      assert.equal(ran.exitCode, exitCode, ran.err);
    });
  }

  it('places in JSON are objects, with files from the current directory on, whichever command', async () => {
    const call = ['bookthief', 'bookstore.bookstore', 'GET', '/x'];
    const files = [
      ['analyze', 'broken.yaml'],
      ['explain', ...call, '-f', 'mesh'],
      ['test', 'wrong.yaml', '-f', 'mesh'],
    ].map(async (argv) => {
      const { out } = await tulle(cwd, ...argv, '-o', 'json');
      const places: unknown[] = [];
      JSON.parse(out, (key, value: unknown) => {
        if (key === 'at' || key === 'position') places.push((value as { file?: unknown }).file);
        return value;
      });
      return places;
    });
    const [analyzed = [], explained = [], tested = []] = await Promise.all(files);
    assert.deepEqual(analyzed, ['broken.yaml']);
    assert.ok(explained.length > 0);
    for (const file of explained) assert.match(String(file), /^mesh\//);
    assert.ok(tested.includes('wrong.yaml'));
  });

  it('SARIF has a place and a rule for each result', async () => {
    const { out } = await tulle(cwd, 'analyze', 'broken.yaml', '-o', 'sarif');
    const sarif = JSON.parse(out) as {
      version: string;
      runs: {
        tool: { driver: { rules: { id: string }[] } };
        results: { ruleIndex: number; ruleId: string; locations: unknown[] }[];
      }[];
    };
    assert.equal(sarif.version, '2.1.0');
    for (const { tool, results } of sarif.runs) {
      assert.ok(results.length > 0);
      for (const { ruleIndex, ruleId, locations } of results) {
        assert.equal(tool.driver.rules[ruleIndex]?.id, ruleId);
        assert.equal(locations.length, 1);
      }
    }
  });
});
