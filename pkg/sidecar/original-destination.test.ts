import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { findOriginalDestination } from './original-destination.ts';

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const rest = '01 00000000:00000000 00:00000000 00000000     0        0 1371488 1 0000000034127494 20 4 30 10 -1\n';
/** Ours comes first: its far end is the app's near one. */
const tcp = `${head}   0: 0100007F:3E7F 0500F40A:81F4 ${rest}   1: 0500F40A:81F4 070312C6:1FBB ${rest}`;
const tcp6 = `${head}   0: 0000000000000000FFFF00000500F40A:8A80 0000000000000000FFFF00000A7100CB:1E61 ${rest}`;

describe('findOriginalDestination', () => {
  const read = (file: string): Promise<string> => Promise.resolve(file.endsWith('tcp6') ? tcp6 : tcp);
  const find = (ip: string, port: number): ReturnType<typeof findOriginalDestination> =>
    findOriginalDestination({ ip, port }, read);

  it("reads it from the app's own socket", async () => {
    assert.deepEqual(await find('10.244.0.5', 0x81f4), { ip: '198.18.3.7', port: 8123 });
  });

  it('knows sockets of both families', async () => {
    assert.deepEqual(await find('10.244.0.5', 0x8a80), { ip: '203.0.113.10', port: 7777 });
  });

  it('says nothing of a connection that is gone', async () => {
    assert.equal(await find('10.244.0.5', 1), undefined);
    assert.equal(
      await findOriginalDestination({ ip: '10.244.0.5', port: 1 }, () => Promise.reject(new Error())),
      undefined,
    );
  });
});
