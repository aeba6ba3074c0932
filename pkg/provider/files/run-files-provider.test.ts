import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { MeshConfig } from '../../catalog/snapshot.ts';
import type { MeshRead } from './mesh-read.ts';
import { type FilesProviderOptions, runFilesProvider } from './run-files-provider.ts';

const config: MeshConfig = {
  trustDomain: 'cluster.local',
  egress: 'allow',
  tracing: { sampling: 1 },
  mode: 'enforce',
  modeFrom: 'default',
  pathMatch: 'full',
};

describe('runFilesProvider', () => {
  let dir: string;
  let stop: AbortController;
  let running: Promise<void>;
  let reads: MeshRead[];
  let onRead: () => void;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'tulle-watch-'));
    stop = new AbortController();
    reads = [];
    onRead = () => {};
  });
  afterEach(async () => {
    stop.abort();
    await running;
    rmSync(dir, { recursive: true, force: true });
  });

  function start(options: Partial<FilesProviderOptions> = {}): void {
    running = runFilesProvider({
      inputs: [dir],
      config,
      signal: stop.signal,
      // Only the watch can tell in these tests, unless they say otherwise.
      pollMs: 60_000,
      onSnapshot(_snapshot, _problems, read) {
        reads.push(read);
        onRead();
      },
      ...options,
    });
  }

  /** Resolves with the first read, from now on or the latest, that is so. */
  function until(condition: (read: MeshRead) => boolean): Promise<MeshRead> {
    return new Promise((resolve) => {
      onRead = () => {
        const last = reads.at(-1);
        if (last && condition(last)) resolve(last);
      };
      onRead();
    });
  }

  function write(name: string, content: string): string {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  function replace(name: string, content: string): void {
    renameSync(write(`${name}.tmp`, content), join(dir, name));
  }

  function service(...names: string[]): string {
    return names.map((name) => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\n`).join('---\n');
  }

  const names = (read: MeshRead): string => read.snapshot.services.map(({ name }) => name).join(' ');
  const has =
    (expected: string) =>
    (read: MeshRead): boolean =>
      names(read) === expected;

  it('gives what is there, then each change: created, replaced, written, renamed, deleted', async () => {
    write('a.yaml', service('a'));
    start();
    await until(has('a'));
    write('b.yaml', service('b'));
    await until(has('a b'));
    replace('b.yaml', service('b', 'c'));
    await until(has('a b c'));
    appendFileSync(join(dir, 'a.yaml'), `---\n${service('d')}`);
    await until(has('a d b c'));
    renameSync(join(dir, 'a.yaml'), join(dir, 'z.yaml'));
    await until(has('b c a d'));
    unlinkSync(join(dir, 'b.yaml'));
    await until(has('a d'));
  });

  it('keeps the reference of everything that did not change', async () => {
    write('a.yaml', service('a', 'b'));
    write('c.yaml', service('c'));
    start();
    const before = await until(has('a b c'));
    // Lines move, b changes; a and c don't.
    const changed = service('b').replace('}', ', labels: {x: y}}');
    replace('a.yaml', `# a comment\n${service('a')}---\n${changed}spec: {ports: [{port: 1}]}\n`);
    const after = await until((read) => read !== before);
    assert.equal(after.snapshot.services[0], before.snapshot.services[0]);
    assert.notEqual(after.snapshot.services[1], before.snapshot.services[1]);
    assert.equal(after.snapshot.services[2], before.snapshot.services[2]);
    assert.equal(after.snapshot.namespaces, before.snapshot.namespaces);
    assert.equal(after.snapshot.smi, before.snapshot.smi);
    replace('a.yaml', `# another comment\n# and one\n${service('a')}---\n${changed}spec: {ports: [{port: 1}]}\n`);
    const moved = await until((read) => read !== before && read !== after);
    assert.equal(moved.snapshot, after.snapshot);
    assert.equal(moved.locate({ kind: 'Service', namespace: 'default', name: 'a' }, '')?.line, 3);
  });

  it('never takes half of a file that is being written', async () => {
    const path = write('a.yaml', service('a', 'b'));
    start();
    await until(has('a b'));
    // The first part is valid YAML of a smaller mesh.
    writeFileSync(path, service('a'));
    appendFileSync(path, `---\n${service('b')}`);
    appendFileSync(path, `---\n${service('c')}`);
    await until(has('a b c'));
    assert.deepEqual(reads.map(names), ['a b', 'a b c']);
  });

  it('sees an editor that replaces a file by deleting and writing it, without a gap', async () => {
    const path = write('a.yaml', service('a'));
    start();
    await until(has('a'));
    unlinkSync(path);
    writeFileSync(path, service('a', 'b'));
    await until(has('a b'));
    assert.deepEqual(reads.map(names), ['a', 'a b']);
  });

  it('does not tell when only times changed', async () => {
    const path = write('a.yaml', service('a'));
    start();
    await until(has('a'));
    writeFileSync(path, service('a'));
    write('b.yaml', service('b'));
    await until(has('a b'));
    assert.deepEqual(reads.map(names), ['a', 'a b']);
  });

  it('sees new directories, and files in them', async () => {
    write('a.yaml', service('a'));
    start();
    await until(has('a'));
    write('x/y/b.yaml', service('b'));
    await until(has('a b'));
    replace('x/y/c.yaml', service('c'));
    await until(has('a b c'));
    renameSync(join(dir, 'x'), join(dir, 'w'));
    await until((read) => read.files.has(join(dir, 'w/y/c.yaml')) && has('a b c')(read));
    rmSync(join(dir, 'w'), { recursive: true });
    await until(has('a'));
  });

  it('tells a broken edit and keeps its neighbours in force', async () => {
    write('a.yaml', service('a', 'b'));
    start();
    await until(has('a b'));
    replace('a.yaml', service('a', '['));
    const { problems } = await until(has('a'));
    assert.deepEqual(
      problems.map(({ reason, position }) => [reason, position?.line]),
      [['SyntaxError', 7]],
    );
    replace('a.yaml', service('a', 'b'));
    assert.deepEqual((await until(has('a b'))).problems, []);
  });

  it('watches a file that was given, and only it', async () => {
    const path = write('given', service('a'));
    start({ inputs: [path] });
    await until(has('a'));
    write('other.yaml', service('other'));
    replace('given', service('a', 'b'));
    await until(has('a b'));
    assert.deepEqual(reads.map(names), ['a', 'a b']);
  });

  it('finds by polling what the watch does not tell', async () => {
    const path = join(dir, 'later');
    start({ inputs: [path], pollMs: 20 });
    await until((read) => read.problems.length === 1);
    mkdirSync(path);
    write('later/a.yaml', service('a'));
    const read = await until(has('a'));
    assert.deepEqual(read.problems, []);
  });

  it('gathers what happens while it is being taken', async () => {
    write('a.yaml', service('a'));
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    start({
      async onSnapshot(_snapshot, _problems, read) {
        reads.push(read);
        onRead();
        if (reads.length === 1) await held;
      },
    });
    await until(has('a'));
    for (let i = 0; i < 20; i++) replace('b.yaml', service(`b${i}`));
    release();
    await until(has('a b19'));
    assert.deepEqual(reads.map(names), ['a', 'a b19']);
  });

  it('follows the pods that run', async () => {
    write('in/a.yaml', service('a'));
    mkdirSync(join(dir, 'pods'));
    const pod = (ready: string): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web-0', namespace: 'shop' },
        status: { podIP: '127.0.0.1', conditions: [{ type: 'Ready', status: ready }] },
      });
    start({ inputs: [join(dir, 'in')], podDirs: [join(dir, 'pods')] });
    const before = await until(has('a'));
    assert.deepEqual(before.snapshot.pods, []);
    replace('pods/web-0.json', pod('False'));
    await until(({ snapshot }) => snapshot.pods.length === 1);
    replace('pods/web-0.json', pod('True'));
    const after = await until(({ snapshot }) => snapshot.pods[0]?.ready === true);
    assert.equal(after.snapshot.services, before.snapshot.services);
    unlinkSync(join(dir, 'pods/web-0.json'));
    await until(({ snapshot }) => snapshot.pods.length === 0);
  });

  it('takes one change among 1,000 files in a moment', async () => {
    for (let i = 0; i < 1000; i++) write(`s${i}.yaml`, service(`s${i}`));
    start();
    const before = await until(({ snapshot }) => snapshot.services.length === 1000);
    const started = performance.now();
    replace('s500.yaml', service('changed'));
    const after = await until(({ snapshot }) => snapshot.services.some(({ name }) => name === 'changed'));
    assert.ok(performance.now() - started < 1000, `${performance.now() - started} ms`);
    const kept = after.snapshot.services.filter((service) => before.snapshot.services.includes(service));
    assert.equal(kept.length, 999);
  });

  it('ends when it is told to, and passes on what its taker throws', async () => {
    start();
    await until(() => true);
    stop.abort();
    await running;
    const failing = runFilesProvider({
      inputs: [dir],
      config,
      signal: new AbortController().signal,
      onSnapshot: () => Promise.reject(new Error('taken badly')),
    });
    await assert.rejects(failing, /taken badly/);
  });
});
