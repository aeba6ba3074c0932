import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readImagePlan } from './dockerfile.ts';

const root = join(import.meta.dirname, '../..');
const planOf = (file: string, args?: Record<string, string>) =>
  readImagePlan(readFileSync(join(root, file), 'utf8'), args);

describe('the last stage of a Dockerfile', () => {
  it('says what is copied from the repository, whether a stage built it or not', () => {
    const plan = readImagePlan(
      [
        'ARG BASE=small:1',
        '# a comment',
        'FROM big:2 AS build',
        'WORKDIR /src',
        'RUN make && \\',
        '  make more',
        'FROM ${BASE}',
        'ARG NAME=one',
        'WORKDIR /app',
        'COPY --from=build /src/dist/a.js dist/b /app/',
        'COPY --chmod=0755 run.sh ./run',
        'ENV NAME=$NAME',
        'USER 7:8',
        'ENTRYPOINT ["node", "/app/a.js"]',
        'CMD ["--x", "y z"]',
      ].join('\n'),
      { NAME: 'two' },
    );
    assert.deepEqual(plan, {
      from: 'small:1',
      copies: [
        { sources: ['dist/a.js', 'dist/b'], target: '/app/' },
        { sources: ['run.sh'], target: '/app/run', mode: '0755' },
      ],
      env: { NAME: 'two' },
      workdir: '/app',
      user: '7:8',
      entrypoint: ['node', '/app/a.js'],
      cmd: ['--x', 'y z'],
    });
  });

  it('is refused when it could not be made by copying', () => {
    assert.throws(() => readImagePlan('FROM a\nRUN make'), /RUN in the last stage/);
    assert.throws(() => readImagePlan('FROM a\nENTRYPOINT node x'), /JSON list/);
    assert.throws(() => readImagePlan('FROM a\nCOPY --from=b /x /y'), /no such stage/);
    assert.throws(() => readImagePlan('FROM a AS b\nWORKDIR /s\nFROM a\nCOPY --from=b /x /y'), /not built there/);
    assert.throws(() => readImagePlan('FROM a\nENV X=$Y'), /\$Y is not set/);
    assert.throws(() => readImagePlan('# nothing\n'), /without FROM/);
  });

  it('sees the image through a stage that only adds packages', () => {
    assert.equal(readImagePlan('FROM debian:1 AS tools\nRUN apt-get x\nFROM tools\nUSER 0').from, 'debian:1');
  });
});

describe('the images of Tulle', () => {
  const files = ['cmd/controller/Dockerfile', 'cmd/pod-sidecar/Dockerfile', 'demo/bookstore/Dockerfile'];

  for (const file of files) {
    it(`${file}: copies what is there, or what the build makes`, () => {
      for (const { sources } of planOf(file).copies) {
        for (const source of sources) {
          if (source.startsWith('dist/') && !existsSync(join(root, 'dist'))) continue;
          assert.ok(existsSync(join(root, source)), `${file} copies ${source}`);
        }
      }
    });
  }

  it('run their programs as nobody in particular', () => {
    assert.equal(planOf('cmd/controller/Dockerfile').user, '1000:1000');
    assert.equal(planOf('demo/bookstore/Dockerfile').user, '1000:1000');
    assert.equal(planOf('cmd/pod-sidecar/Dockerfile').user, '1500:1500');
  });

  it("start an app of the bookstore by the name that Open Service Mesh's manifests have as its command", () => {
    const { copies, env, entrypoint } = planOf('demo/bookstore/Dockerfile', { APP: 'bookbuyer' });
    const targets = copies.map(({ target }) => target);
    for (const app of ['bookbuyer', 'bookthief', 'bookstore', 'bookwarehouse']) assert.ok(targets.includes(`/${app}`));
    assert.deepEqual([env, entrypoint], [{ APP: 'bookbuyer' }, ['/app/start']]);
    assert.ok(statSync(join(root, 'demo/bookstore/start-app.sh')).mode & 0o100);
  });
});
