import { send, type Answer } from './http-client.ts';
import { numberSetting, say, setting } from './settings.ts';

export interface Tally {
  total: number;
  v1: number;
  v2: number;
  /** Purchases that were refused or failed. */
  notServed: number;
}

/**
 * Buys books for as long as it lives, `PURCHASES_PER_SECOND` of them, and asks once a second how many were bought.
 * Counts what it got by the version that says it sold it.
 */
export function shop(name: string, tally: Tally): void {
  const host = `${setting('BOOKSTORE_SVC', 'bookstore')}.${setting('BOOKSTORE_NAMESPACE', 'bookstore')}`;
  const port = setting('BOOKSTORE_PORT', '14001');
  const url = (path: string): URL => new URL(`http://${host}:${port}${path}`);
  const pause = 1000 / Math.max(0.01, numberSetting('PURCHASES_PER_SECOND', 1));

  const purchase = async (): Promise<void> => {
    count(tally, await send('GET', url('/buy-a-book/new')));
  };
  const look = async (): Promise<void> => {
    const headers = { 'client-app': name, 'user-agent': 'bookstore-http-client/1.1' };
    const { status, body } = await send('GET', url('/books-bought'), headers);
    say(`${name}: ${tally.total} books (v1 ${tally.v1}, v2 ${tally.v2}); the shelf says ${status} ${firstLine(body)}`);
  };
  repeat(purchase, pause);
  repeat(look, 1000);
}

function count(tally: Tally, { status, headers }: Answer): void {
  if (status !== 200) {
    tally.notServed += 1;
    return;
  }
  tally.total += 1;
  const identity = String(headers['identity'] ?? '');
  if (identity.startsWith('bookstore-v1')) tally.v1 += 1;
  if (identity.startsWith('bookstore-v2')) tally.v2 += 1;
}

/** Calls on, at an even pace, and skips a beat rather than pile up when an answer is slow. */
function repeat(task: () => Promise<void>, pause: number): void {
  let running = 0;
  setInterval(() => {
    if (running >= 16) return;
    running += 1;
    void task().finally(() => (running -= 1));
  }, pause);
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').slice(0, 120);
}
