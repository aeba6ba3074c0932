import { randomFillSync } from 'node:crypto';
import type { RandomHex } from './trace-context.ts';

/** Random ids from a pool that is filled a page at a time: a system call for each id would show in a profile. */
export function createRandomHex(): RandomHex {
  const pool = Buffer.alloc(4096);
  let at = pool.length;
  return (bytes) => {
    if (at + bytes > pool.length) {
      randomFillSync(pool);
      at = 0;
    }
    const id = pool.toString('hex', at, at + bytes);
    at += bytes;
    // All zeros is no id (W3C Trace Context §3.2.2.3).
    return /[1-9a-f]/.test(id) ? id : `${id.slice(0, -1)}1`;
  };
}
