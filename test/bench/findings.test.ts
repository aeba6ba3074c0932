import assert from 'node:assert/strict';
import { decodeFindings } from './findings.ts';
import { toMarkdown } from './report.ts';

describe('findings of the benchmark', () => {
  const text = 'For readers of the file.\n\n## One\n\nTime goes there.\n\n### And there\n\nMore.\n\n## Two\n\n';

  it('are the text under the title of a section, without what stands before', () => {
    assert.deepEqual([...decodeFindings(text)], [['One', 'Time goes there.\n\n### And there\n\nMore.']]);
  });

  it('stand behind the goals of their section', () => {
    const section = { title: 'One', text: 'What.', heads: ['a'], rows: [['1']], goals: [] };
    const goal = { text: 'less', value: '2', met: false };
    const lines = toMarkdown({ ...section, goals: [goal] }, 'Time goes there.').split('\n');
    assert.deepEqual(lines.slice(-5), [
      '- **not met**: less: 2',
      '',
      '### Where the time goes',
      '',
      'Time goes there.',
    ]);
    assert.equal(toMarkdown(section).includes('###'), false);
  });
});
