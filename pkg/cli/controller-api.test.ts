import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Duplex, PassThrough } from 'node:stream';
import { getThrough } from './controller-api.ts';

describe('asking a port of a pod', () => {
  const to = { namespace: 'tulle-system', pod: 'tulle-controller-1', port: 9092 };

  it('waits no longer than it was told while it connects, and closes what comes after', async () => {
    let answer: (stream: Duplex) => void = () => assert.fail();
    const forwarder = { connect: () => new Promise<Duplex>((resolve) => (answer = resolve)) };
    await assert.rejects(
      getThrough(forwarder, to, '/api/mesh', 20),
      /^(Cli)?Error: port 9092 of pod tulle-system\/tulle-controller-1: no answer within 20 ms$/,
    );
    const late = new PassThrough();
    answer(late);
    await once(late, 'close');
  });
});
