import assert from 'node:assert/strict';
import { type LeaderElection, runLease } from './lease.ts';
import { createWrittenObjects, type WrittenObjects } from './written-objects.fixture.ts';

const path = '/apis/coordination.k8s.io/v1/namespaces/mesh/leases/writer';

interface Replica {
  readonly election: LeaderElection;
  readonly terms: AbortSignal[];
  readonly errors: unknown[];
  readonly end: AbortController;
  /** Ends its sleep: it looks again, and has done so when this resolves. */
  turn(): Promise<void>;
}

describe('a lease', () => {
  let written: WrittenObjects;
  let now: number;
  let replicas: Replica[];
  beforeEach(() => {
    written = createWrittenObjects();
    now = 0;
    replicas = [];
  });
  afterEach(async () => {
    for (const { end } of replicas) end.abort();
    await Promise.all(replicas.map(({ election }) => election.done));
  });

  const settle = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) await new Promise((resolve) => setImmediate(resolve));
  };

  async function start(identity: string): Promise<Replica> {
    const end = new AbortController();
    const terms: AbortSignal[] = [];
    const errors: unknown[] = [];
    let wake = (): void => undefined;
    const election = runLease({
      cluster: written.cluster,
      namespace: 'mesh',
      name: 'writer',
      identity,
      signal: end.signal,
      lead: (term) => terms.push(term),
      onError: (error) => errors.push(error),
      now: () => now,
      sleep: (_milliseconds, signal) =>
        new Promise((resolve) => {
          wake = () => {
            signal.removeEventListener('abort', wake);
            resolve();
          };
          signal.addEventListener('abort', wake);
          if (signal.aborted) wake();
        }),
    });
    const turn = (): Promise<void> => (wake(), settle());
    const replica = { election, terms, errors, end, turn };
    replicas.push(replica);
    await settle();
    return replica;
  }

  it('is won by the first, and kept', async () => {
    const one = await start('one');
    const two = await start('two');
    for (let i = 0; i < 10; i++) {
      now += 2_000;
      await one.turn();
      await two.turn();
    }

    assert.deepEqual([one.election.isLeader(), two.election.isLeader()], [true, false]);
    assert.equal(one.terms.length, 1);
    const { spec } = written.objects.get(path) as unknown as { spec: Record<string, unknown> };
    assert.equal(spec['holderIdentity'], 'one');
    assert.match(String(spec['renewTime']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it('is let go of at the end, so that another has it at once', async () => {
    const one = await start('one');
    const two = await start('two');
    one.end.abort();
    await one.election.done;
    assert.equal(one.terms[0]?.aborted, true);
    await two.turn();

    assert.equal(two.election.isLeader(), true);
  });

  it('passes to another when its holder is dead, and not before', async () => {
    await start('one');
    const two = await start('two');
    now += 14_000;
    await two.turn();
    assert.equal(two.election.isLeader(), false);
    now += 1_001;
    await two.turn();

    assert.equal(two.election.isLeader(), true);
  });

  it('is one holder at a time when many begin at once', async () => {
    const all = await Promise.all(['a', 'b', 'c', 'd'].map(start));
    for (const replica of all) await replica.turn();

    assert.equal(all.filter(({ election }) => election.isLeader()).length, 1);
    assert.deepEqual(
      all.flatMap(({ errors }) => errors),
      [],
    );
  });

  it('survives failures, and a renewal whose answer was lost', async () => {
    const one = await start('one');
    written.fault = () => ({ error: new Error('unreachable') });
    await one.turn();
    assert.equal(one.errors.length, 1);
    assert.equal(one.election.isLeader(), true);

    written.fault = (method) => (method === 'PUT' ? { error: new Error('reset'), isServed: true } : undefined);
    await one.turn();
    written.fault = undefined;
    await one.turn();
    assert.equal(one.election.isLeader(), true);
    assert.equal(one.terms.length, 1);
  });

  it('is lost when somebody took it', async () => {
    const one = await start('one');
    const lease = written.objects.get(path) as unknown as { spec: Record<string, unknown> };
    lease.spec['holderIdentity'] = 'somebody';
    await one.turn();

    assert.equal(one.election.isLeader(), false);
    assert.equal(one.terms[0]?.aborted, true);
  });
});
