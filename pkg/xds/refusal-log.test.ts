import assert from 'node:assert/strict';
import { createLogger } from '../observability/logger.ts';
import { createRefusalLog, type RefusalLog } from './refusal-log.ts';

describe('refusals in the log', () => {
  let lines: Record<string, unknown>[];
  let due: (() => void) | undefined;
  let refusals: RefusalLog;
  beforeEach(() => {
    lines = [];
    due = undefined;
    const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
    refusals = createRefusalLog({
      log: createLogger({ level: 'info', component: 'test', write }),
      every: 30_000,
      setTimer: (run) => {
        due = run;
        return () => (due = undefined);
      },
    });
  });

  const refuse = (from = '10.0.0.7', reason = 'no bearer token'): void =>
    refusals.tell({ message: 'ADS client refused', reason, from, fields: { peer: `${from}:1` } });
  const pass = (): void => {
    const run = due;
    due = undefined;
    run?.();
  };
  const told = (): unknown[][] => lines.map(({ reason, from, times }) => [reason, from, times]);

  it('tells the first at once, and how many followed from time to time', () => {
    for (let i = 0; i < 1000; i++) refuse();
    assert.deepEqual(told(), [['no bearer token', '10.0.0.7', undefined]]);
    assert.equal(lines[0]?.['peer'], '10.0.0.7:1');
    pass();
    assert.deepEqual(told()[1], ['no bearer token', '10.0.0.7', 999]);
    assert.equal(lines[1]?.['seconds'], 30);
    for (let i = 0; i < 5; i++) refuse();
    assert.equal(lines.length, 2, 'it goes on');
    pass();
    assert.deepEqual(told()[2], ['no bearer token', '10.0.0.7', 5]);
  });

  it('tells the next one at once when it was quiet meanwhile, and waits for nothing then', () => {
    refuse();
    pass();
    assert.equal(lines.length, 1);
    assert.equal(due, undefined);
    refuse();
    assert.equal(lines.length, 2);
  });

  it('tells each client and each reason', () => {
    refuse('10.0.0.7');
    refuse('10.0.0.8');
    refuse('10.0.0.7', 'the token has expired');
    assert.equal(lines.length, 3);
  });

  it('hides nobody behind one that is refused for ever new reasons', () => {
    for (let i = 0; i < 1000; i++) refuse('10.0.0.7', `reason ${i}`);
    assert.equal(lines.length, 8);
    refuse('10.0.0.8');
    assert.equal(lines.length, 9);
    pass();
    assert.deepEqual([lines[9]?.['message'], lines[9]?.['times']], ['more was refused', 992]);
  });

  it('hides nobody behind a few that are refused for many reasons', () => {
    const few = (from: number): void => {
      for (let i = 0; i < 100; i++) for (let j = 0; j < 8; j++) refuse(`10.0.0.${from}`, `reason ${j}`);
    };
    for (let i = 0; i < 8; i++) few(i);
    for (let i = 100; i < 140; i++) {
      refuse(`10.0.0.${i}`);
      assert.equal(lines.at(-1)?.['from'], `10.0.0.${i}`);
    }
    const before = lines.length;
    for (let round = 0; round < 10; round++) for (let i = 0; i < 8; i++) few(i);
    assert.ok(lines.length < before + 20, 'who was displaced comes not back by coming again');
    pass();
    assert.ok(lines.length < 250, `${lines.length} lines`);
    const counted = lines.reduce((sum, { times }) => sum + (typeof times === 'number' ? times : 1), 0);
    assert.equal(counted, 8 * 800 * 11 + 40);
  });

  it('writes a bounded number of lines, whoever comes from wherever', () => {
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 10_000; i++) refuse(`10.0.${i >> 8}.${i & 255}`, `reason ${round}`);
      pass();
    }
    assert.ok(lines.length <= 10 * 62, `${lines.length} lines`);
    const counted = lines.reduce((sum, { times }) => sum + (typeof times === 'number' ? times : 1), 0);
    assert.equal(counted, 100_000);
  });

  it('tells what it has counted when it ends', () => {
    refuse();
    refuse();
    refusals.close();
    assert.deepEqual(told()[1], ['no bearer token', '10.0.0.7', 1]);
    assert.equal(due, undefined);
  });
});
