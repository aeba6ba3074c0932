import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseDocuments, placeOf } from './yaml-documents.ts';

describe('parseDocuments', () => {
  const values = (text: string): unknown[] => parseDocuments(text).map(({ value }) => value);

  it('cuts where YAML ends a document', () => {
    assert.deepEqual(values('a: 1\n---\nb: 2\n...\n# c\n--- # d\nd: 4\n---x: 5\n'), [
      { a: 1 },
      { b: 2 },
      { d: 4, '---x': 5 },
    ]);
    assert.deepEqual(values('%YAML 1.2\n---\na: |\n  ---\n---\r\n{"b": 2}\r\n'), [{ a: '---\n' }, { b: 2 }]);
    assert.deepEqual(values('--- {a: 1}\n---\n---\n\n# nothing\n'), [{ a: 1 }]);
    assert.deepEqual(values(''), []);
  });

  it('tells a key that stands twice, at the second', () => {
    const [document] = parseDocuments('# first\na: 1\nb:\n  c: 1\n  c: 2\n');
    assert.deepEqual(document?.fault, {
      message: 'the key "c" stands here twice',
      line: 5,
      column: 3,
    });
  });

  it('gives the place of values, through anchors, in Lists and in JSON', () => {
    const text = 'x: 1\n---\nitems:\n- &a {n: 1}\n- *a\n- m: {p/q: [1, two]}\n---\n{\n  "a": {"b": true}\n}\n';
    const [, yaml, json] = parseDocuments(text);
    assert.ok(yaml && json);
    const at = (document: typeof yaml, pointer: string): string => {
      const { line, column } = placeOf(document, pointer);
      return `${line}:${column}`;
    };
    assert.equal(at(yaml, ''), '3:1');
    assert.equal(at(yaml, '/items/1/n'), '4:10');
    assert.equal(at(yaml, '/items/2/m/p~1q/1'), '6:16');
    assert.equal(at(yaml, '/items/2/m/missing/x'), '6:6');
    assert.equal(at(json, '/a/b'), '9:14');
  });

  it('takes documents with the same text from before, wherever they stand', () => {
    const before = parseDocuments('a: 1\n---\nb: 2\n');
    const after = parseDocuments('c: 3\n---\nb: 2\n', before);
    assert.equal(after[1], before[1]);
    const moved = parseDocuments('c: 3\nd: 4\n---\nb: 2\n', after);
    assert.equal(moved[1]?.value, before[1]?.value);
    assert.equal(moved[1]?.linesBefore, 2);
  });

  it('refuses in a moment what would cost gigabytes', () => {
    const size = 1024 * 1024;
    for (const [text, reason] of [
      ['['.repeat(size), /deeper/],
      ['{a: '.repeat(size), /deeper/],
      ['- '.repeat(size), /deeper/],
      ['? '.repeat(size), /deeper/],
      ['[['.repeat(8000), /deeper|nested/],
      ['{"a":'.repeat(1000) + '1' + '}'.repeat(1000), /deeper/],
      [Array.from({ length: 200_000 }, (_, i) => `k${i}: v`).join('\n'), /tokens/],
      ['---\na: 1\n'.repeat(30_000), /documents/],
    ] as const) {
      const [document] = parseDocuments(text);
      assert.match(document?.fault?.message ?? '', reason, text.slice(0, 20));
    }
  });

  it('holds many keys against each other without taking the square of their number', () => {
    const text = Array.from({ length: 50_000 }, (_, i) => `k${i}: v`).join('\n');
    const started = performance.now();
    assert.equal(parseDocuments(text)[0]?.fault, undefined);
    assert.ok(performance.now() - started < 8000);
  });

  it('never throws, whatever text comes', () => {
    const bits = fc.constantFrom(
      '---\n',
      '- ',
      'a: ',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '&x ',
      '*x',
      '|',
      '!t ',
      '# ',
      '<<: ',
      '\t',
      'é',
      '\0',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(bits, fc.string()), { maxLength: 30 }), (parts) => {
        for (const document of parseDocuments(parts.join(''))) placeOf(document, '/a/0/b');
      }),
      { numRuns: 500 },
    );
  });
});
