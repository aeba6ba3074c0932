import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'mocha';
import { readLines } from './lines.ts';

/** The lines that are read of a stream, of at most eight characters each. */
async function linesOf(...chunks: (string | Buffer)[]): Promise<readonly string[]> {
  const stream = new PassThrough();
  const lines: string[] = [];
  readLines(stream, 8, (line) => lines.push(line));
  const ended = new Promise((resolve) => stream.once('end', resolve));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  return lines;
}

describe('readLines', () => {
  it('puts together what arrives in parts, characters too, and keeps empty lines', async () => {
    const euro = Buffer.from('€');
    assert.deepEqual(await linesOf('on', 'e\n\ntw', 'o ', euro.subarray(0, 1), euro.subarray(1), '\n'), [
      'one',
      '',
      'two €',
    ]);
  });

  it('gives the start of a long line, and none of its rest as a line', async () => {
    for (const chunks of [
      ['0123456789{"a":1}\nnext\n'],
      ['012345', '6789{"a"', ':1}', '\nnext\n'],
      ['01234567', '8\nnext\n'],
    ])
      assert.deepEqual(await linesOf(...chunks), ['01234567', 'next']);
  });

  it('gives a last line that nothing ends', async () => {
    assert.deepEqual(await linesOf('one\nlast'), ['one', 'last']);
    assert.deepEqual(await linesOf('one\n0123456789'), ['one', '01234567']);
    assert.deepEqual(await linesOf('one\n'), ['one']);
  });

  it('gives a line as long as it may be whole', async () => {
    assert.deepEqual(await linesOf('01234567\nnext'), ['01234567', 'next']);
  });
});
