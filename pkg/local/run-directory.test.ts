import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { markProcess } from './processes.ts';
import { createRunDirectory, findMeshes, runBase } from './run-directory.ts';

const uid = process.getuid?.() ?? 0;
const record = {
  dirs: ['/mesh'],
  config: {
    mode: 'enforce',
    modeFrom: 'default',
    trustDomain: 'cluster.local',
    pathMatch: 'full',
    egress: 'deny',
    tracing: { sampling: 1 },
  },
  isolation: 'isolated',
  supervisorPid: process.pid,
  supervisor: markProcess(process.pid),
  api: 'http://127.0.0.1:1',
  startedAt: '2026-01-01T00:00:00Z',
} as const;

describe('createRunDirectory', () => {
  let parent = '';
  let base = '';
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 't-run-'));
    base = join(parent, 'tulle');
  });
  afterEach(() => rmSync(parent, { recursive: true }));

  it('is for its owner alone, and found by its record', () => {
    const run = createRunDirectory(base, uid);
    for (const path of [base, run.path, run.file('control')]) assert.equal(statSync(path).mode & 0o777, 0o700, path);
    assert.deepEqual(findMeshes(base), []);
    run.writeRecord(record);
    assert.deepEqual(
      findMeshes(base).map(({ id, path }) => [id, path]),
      [[run.id, run.path]],
    );
    assert.equal(statSync(run.file('mesh.json')).mode & 0o777, 0o600);
    run.remove();
    assert.deepEqual(findMeshes(base), []);
  });

  it('clears away what a dead supervisor left, and nothing else', () => {
    const alive = createRunDirectory(base, uid);
    alive.writeRecord(record);
    const dead = createRunDirectory(base, uid);
    // The same number, another process: it was started at another time.
    dead.writeRecord({ ...record, supervisor: { ...record.supervisor, started: 'another time' } });
    const starting = createRunDirectory(base, uid);
    const abandoned = createRunDirectory(base, uid);
    utimesSync(abandoned.path, new Date(0), new Date(0));
    createRunDirectory(base, uid);
    assert.deepEqual(
      [alive, dead, starting, abandoned].map(({ path }) => existsSync(path)),
      [true, false, true, false],
    );
  });

  it('refuses a directory that others can read', () => {
    mkdirSync(base, { mode: 0o755 });
    assert.throws(() => createRunDirectory(base, uid), /not a directory of yours alone/);
  });

  it('keeps paths short enough for unix sockets', () => {
    assert.equal(runBase({ XDG_RUNTIME_DIR: '/run/user/1000' }, 1000), '/run/user/1000/tulle');
    assert.equal(runBase({ XDG_RUNTIME_DIR: `/${'x'.repeat(60)}` }, 1000), '/tmp/tulle-1000');
    assert.equal(runBase({}, 501), '/tmp/tulle-501');
  });
});
