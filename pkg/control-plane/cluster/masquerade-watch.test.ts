import assert from 'node:assert/strict';
import { createLogger } from '../../observability/logger.ts';
import type { AddressAnswer } from './authenticate-pod.ts';
import { createMasqueradeWatch } from './masquerade-watch.ts';

describe('a cluster that masquerades the addresses of pods', () => {
  let lines: Record<string, unknown>[];
  let now: number;
  let watch: (answer: AddressAnswer) => void;
  beforeEach(() => {
    lines = [];
    now = 0;
    const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
    watch = createMasqueradeWatch({ log: createLogger({ level: 'info', component: 'test', write }), now: () => now });
  });
  const foreign = (i: number): void => watch({ kind: 'foreign', pod: `shop/web-${i}`, address: '192.168.0.1' });

  it('is told of with the name of the switch when several pods are refused for their addresses alone', () => {
    foreign(0);
    foreign(0);
    foreign(1);
    assert.equal(lines.length, 0);
    foreign(2);
    assert.equal(lines.length, 1);
    assert.match(String(lines[0]?.['fix']), /controller\.verifyPeerAddress=false/);
    assert.deepEqual(lines[0]?.['addresses'], ['192.168.0.1']);
  });

  it('is told of from time to time as long as it goes on', () => {
    for (; now < 600_000; now += 10_000) for (let i = 0; i < 5; i++) foreign(i);
    assert.equal(lines.length, 2);
  });

  it('is told of whoever else is refused for other reasons', () => {
    watch({ kind: 'other', pod: 'shop/web-9', address: '10.0.0.9' });
    for (let i = 0; i < 5; i++) foreign(i);
    assert.equal(lines.length, 1);
  });

  it('is not suspected where pods come from their own addresses', () => {
    watch({ kind: 'ok', pod: 'shop/web-9', address: '10.0.0.9' });
    for (let i = 0; i < 5; i++) foreign(i);
    assert.equal(lines.length, 0);
    now = 61_000;
    for (let i = 0; i < 5; i++) foreign(i);
    assert.equal(lines.length, 1);
  });
});
