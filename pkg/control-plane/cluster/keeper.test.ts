import assert from 'node:assert/strict';
import { runKeeper } from './keeper.ts';

const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a keeper', () => {
  let end: AbortController;
  let runs: number;
  beforeEach(() => {
    end = new AbortController();
    runs = 0;
  });
  afterEach(() => end.abort());

  it('looks at the start, when it is rung for, and once more for all that rang meanwhile', async () => {
    let finish = (): void => undefined;
    const work = (): Promise<void> => {
      runs += 1;
      return new Promise((resolve) => {
        finish = resolve;
      });
    };
    const keeper = runKeeper({ work, every: 1_000_000, signal: end.signal, onError: () => assert.fail() });
    await turns();
    assert.equal(runs, 1);

    for (let i = 0; i < 5; i++) keeper.ring();
    finish();
    await turns();
    assert.equal(runs, 2);
    finish();
    await turns();
    assert.equal(runs, 2);
    keeper.ring();
    await turns();
    assert.equal(runs, 3);
  });

  it('tries again soon after a failure, and ends with its signal', async () => {
    const errors: unknown[] = [];
    let done = (): void => undefined;
    const recovered = new Promise<void>((resolve) => {
      done = resolve;
    });
    const work = (): Promise<void> => {
      runs += 1;
      if (runs < 3) return Promise.reject(new Error('refused'));
      done();
      return Promise.resolve();
    };
    const keeper = runKeeper({ work, every: 1_000_000, signal: end.signal, onError: (error) => errors.push(error) });
    await recovered;
    assert.equal(errors.length, 2);

    end.abort();
    keeper.ring();
    await turns();
    assert.equal(runs, 3);
  });
});
