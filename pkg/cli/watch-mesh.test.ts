import assert from 'node:assert/strict';
import type { Problem } from '../problem/problem.ts';
import { unique } from './watch-mesh.ts';

const at = (file: string, line: number, name = ''): Problem => ({
  resource: { kind: 'File', namespace: '', name },
  field: '',
  severity: 'error',
  reason: 'FileNotText',
  message: 'the file is not UTF-8 text',
  fix: 'save it as UTF-8',
  position: { file, line, column: 1 },
});

describe('unique', () => {
  it('tells once what the supervisor and the controller both found', () => {
    assert.equal(unique([at('a.yaml', 1), at('a.yaml', 1)]).length, 1);
    assert.deepEqual(unique([at('a.yaml', 1, 'x'), at('a.yaml', 2, 'x')]), [at('a.yaml', 2, 'x')]);
  });

  it('tells of each file and each document', () => {
    assert.equal(unique([at('a.yaml', 1), at('b.yaml', 1), at('b.yaml', 9)]).length, 3);
  });
});
