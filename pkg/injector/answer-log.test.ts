import assert from 'node:assert/strict';
import { type LogFields, silentLogger } from '../observability/logger.ts';
import { createAnswerLog } from './answer-log.ts';

describe('lines about the answers of the webhook', () => {
  it('are bounded by message, and say how many were not written', () => {
    let time = 0;
    const lines: (readonly [string, LogFields | undefined])[] = [];
    const write = (message: string, fields?: LogFields): void => void lines.push([message, fields]);
    const tell = createAnswerLog({ ...silentLogger, info: write, warn: write }, () => time);

    for (let i = 0; i < 10_000; i++) tell('info', 'skipped', { i });
    assert.equal(lines.length, 500);
    tell('warn', 'refused', { pod: 'web' });
    assert.deepEqual(lines.at(-1), ['refused', { pod: 'web' }]);
    time = 1000;
    tell('info', 'skipped', { pod: 'web' });
    tell('info', 'skipped', { pod: 'db' });
    tell('info', 'skipped', { pod: 'third' });
    assert.deepEqual(lines.slice(-2), [
      ['skipped', { pod: 'web', untold: 9_500 }],
      ['skipped', { pod: 'db' }],
    ]);
  });
});
