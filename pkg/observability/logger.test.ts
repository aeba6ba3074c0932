import assert from 'node:assert/strict';
import { createLogger, decodeLogLevel, type LogLevel } from './logger.ts';

function capture(level: LogLevel) {
  const lines: string[] = [];
  const log = createLogger({
    level,
    component: 'xds',
    write: (line) => lines.push(line),
    now: () => new Date(0),
  });
  return { log, lines };
}

describe('createLogger', () => {
  it('writes one JSON object a line', () => {
    const { log, lines } = capture('info');

    log.info('stream opened', { node: 'a\nb' });

    assert.deepEqual(lines, [
      '{"time":"1970-01-01T00:00:00.000Z","level":"info","component":"xds","message":"stream opened","node":"a\\nb"}\n',
    ]);
  });

  it('drops what is below its level', () => {
    const { log, lines } = capture('warn');

    log.info('no');
    log.debug('no');
    log.error('yes');

    assert.equal(lines.length, 1);
  });

  it('carries bound fields, says what an error and its cause were, and survives cycles', () => {
    const { log, lines } = capture('debug');
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;

    log.with({ pod: 'shop/cart-0' }).error('failed', { error: new Error('outer', { cause: new Error('inner') }) });
    log.info('odd', { cycle, big: 1n });

    const first = JSON.parse(lines[0] ?? '') as Record<string, string>;
    assert.equal(first['pod'], 'shop/cart-0');
    assert.match(first['error'] ?? '', /outer[^]*inner/);
    assert.match(lines[1] ?? '', /"unprintable":true/);
  });

  it('cuts endless text', () => {
    const { log, lines } = capture('info');

    log.info('long', { text: 'x'.repeat(100_000) });

    assert.ok((lines[0]?.length ?? 0) < 10_000);
  });
});

describe('decodeLogLevel', () => {
  it('takes the four levels, and anything else for info', () => {
    for (const level of ['debug', 'info', 'warn', 'error']) assert.equal(decodeLogLevel(level), level);
    for (const other of [undefined, '', 'DEBUG', 'trace', 'warn\n', 'toString'])
      assert.equal(decodeLogLevel(other), 'info');
  });
});
