import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { fixOf } from './bounded-file.ts';

describe('fixOf', () => {
  it('says what helps against each error', () => {
    assert.equal(fixOf('ENOENT'), 'correct the path');
    assert.equal(fixOf('ELOOP'), 'let the symbolic link lead to a file');
    assert.equal(fixOf('EACCES'), 'give this user permission to read it');
  });
});
