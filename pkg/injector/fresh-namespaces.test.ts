import assert from 'node:assert/strict';
import { createFreshNamespaces, type LookUp } from './fresh-namespaces.ts';
import { meshed } from './injection.fixture.ts';
import type { InjectionNamespace } from './injection-settings.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('namespaces that the API server is asked about', () => {
  let time: number;
  let wakes: (() => void)[];
  let asked: { readonly name: string; readonly answer: (found?: InjectionNamespace) => void }[];
  let lookUp: LookUp;

  beforeEach(() => {
    time = 0;
    wakes = [];
    asked = [];
    lookUp = createFreshNamespaces({
      lookUp: (name) => new Promise((resolve) => asked.push({ name, answer: resolve })),
      now: () => time,
      sleep: () => new Promise((resolve) => wakes.push(resolve)),
    });
  });

  /** Answers all that was asked, and lets the time pass until the next may be. */
  async function pass(found?: InjectionNamespace): Promise<void> {
    time += 250;
    for (const { answer } of asked) answer(found);
    for (const wake of wakes.splice(0)) wake();
    await settle();
  }

  it('are looked up once for many who ask at once, and once more for those who asked meanwhile', async () => {
    const first = lookUp('shop');
    const others = Array.from({ length: 1000 }, () => lookUp('shop'));
    assert.equal(asked.length, 1);
    await pass();
    assert.equal(await first, undefined);
    assert.equal(asked.length, 2);
    await pass(meshed);
    assert.deepEqual([...new Set(await Promise.all(others))], [meshed]);
    assert.equal(asked.length, 2);
  });

  it('are never answered by what was got before the question: the label may be younger', async () => {
    const before = lookUp('shop');
    asked[0]?.answer({ ...meshed, labels: {} });
    assert.deepEqual((await before)?.labels, {});
    const after = lookUp('shop');
    await pass();
    asked[1]?.answer(meshed);
    assert.equal(await after, meshed);
  });

  it('wait for each other beyond a few at once: a tenant may begin with many', async () => {
    const all = Array.from({ length: 50 }, (_, i) => lookUp(`tenant-${i}`));
    assert.equal(asked.length, 16);
    for (let i = 0; i < 4; i++) await pass(meshed);
    assert.deepEqual([...new Set(await Promise.all(all))], [meshed]);
    assert.equal(asked.length, 50);
  });

  it('are refused when too many wait already', async () => {
    let refused = 0;
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 100; i++) lookUp(`made-up-${round}-${i}`).catch(() => (refused += 1));
      await settle();
      time += 5_000;
    }
    assert.deepEqual([asked.length, refused], [16, 300 - 16 - 200]);
  });

  it('are refused beyond a rate, whatever the API server could answer', async () => {
    let refused = 0;
    for (let i = 0; i < 1000; i++) {
      lookUp(`made-up-${i}`).catch(() => (refused += 1));
      for (const { answer } of asked) answer();
      await settle();
    }
    assert.deepEqual([asked.length, refused], [100, 900]);
    time += 1000;
    for (let i = 0; i < 100; i++) {
      lookUp(`later-${i}`).catch(() => undefined);
      for (const { answer } of asked) answer();
      await settle();
    }
    assert.equal(asked.length, 120);
  });

  it('may be asked about again when the API server did not answer well', async () => {
    let fails = true;
    const once = createFreshNamespaces({
      lookUp: () => (fails ? Promise.reject(new Error('503')) : Promise.resolve(meshed)),
      now: () => time,
      sleep: () => Promise.resolve(),
    });
    await assert.rejects(once('shop'), /503/);
    fails = false;
    assert.equal(await once('shop'), meshed);
  });
});
