import assert from 'node:assert/strict';
import { createPendingStreams } from './pending-streams.ts';

describe('streams of which it is not known yet whose they are', () => {
  it('are bounded, in all and from each address but this machine', () => {
    const pending = createPendingStreams({ pendingStreams: 5, pendingPerAddress: 2 });
    const reasonOf = (address: string): string => {
      const reason = pending.reasonAgainst(address);
      if (reason === undefined) pending.enter(address);
      return reason ?? 'ok';
    };
    assert.deepEqual(['a', 'a', 'a', '127.0.0.1', '127.0.0.1', '127.0.0.1', 'b'].map(reasonOf), [
      ...['ok', 'ok', 'too many streams of strangers from one address'],
      ...['ok', 'ok', 'ok', 'too many streams of strangers'],
    ]);
  });

  it('are bounded in all alone where they came through the file of a socket', () => {
    const pending = createPendingStreams({ pendingStreams: 3, pendingPerAddress: 1 });
    for (let i = 0; i < 3; i++) {
      assert.equal(pending.reasonAgainst('unknown'), undefined);
      pending.enter('unknown');
    }
    assert.notEqual(pending.reasonAgainst('unknown'), undefined);
  });

  it('are counted until they are known or gone, and each but once', () => {
    const pending = createPendingStreams({ pendingStreams: 5, pendingPerAddress: 1 });
    const first = pending.enter('a');
    first();
    first();
    assert.equal(pending.reasonAgainst('a'), undefined);
    pending.enter('a');
    assert.notEqual(pending.reasonAgainst('a'), undefined);
  });
});
