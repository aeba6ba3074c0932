import { ConnectionError, errorCode } from './error-codes.ts';

/** Frames that cost us and move nothing: settings, resets, empty data. So many at once, and so many in a second. */
const burst = 1000;
const perSecond = 50;
/** What a stream that came to a good end makes up for: who cancels now and then is not who does nothing else. */
const perStream = 2;

/**
 * Ends connections whose peer keeps us busy for nothing: floods of SETTINGS, empty frames (CVE-2019-9511 and its kin) and
 * of streams that are opened to be reset (CVE-2023-44487).
 */
export class Patience {
  readonly #now: () => number;
  #left = burst;
  #since: number;

  /** `now`: milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
  }

  /** Throws a ConnectionError when there were too many. */
  spend(): void {
    if (this.#left < 1) this.#refill();
    if (this.#left < 1) throw new ConnectionError(errorCode.enhanceYourCalm, 'too many frames that lead nowhere');
    this.#left -= 1;
  }

  /** A stream came to a good end. */
  earn(): void {
    if (this.#left < burst) this.#left += perStream;
  }

  #refill(): void {
    const now = this.#now();
    this.#left = Math.min(burst, this.#left + ((now - this.#since) / 1000) * perSecond);
    this.#since = now;
  }
}
