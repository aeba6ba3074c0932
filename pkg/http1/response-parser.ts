import type { ResponseHead } from './head.ts';
import type { HeadScanner } from './head-scanner.ts';
import type { Limits } from './limits.ts';
import { defaultLimits } from './limits.ts';
import { MessageParser } from './message-parser.ts';
import type { RefusalReason } from './refusal.ts';
import { decodeResponseHead } from './response-head.ts';
import type { Answered } from './response-head.ts';

/** Takes the response to each request off a server's connection. Bytes that answer nothing are refused. */
export class ResponseParser extends MessageParser<ResponseHead> {
  #answered: Answered | undefined;

  constructor(limits: Limits = defaultLimits) {
    super(limits, false);
  }

  /** Must be said before each response. */
  expect(answered: Answered): void {
    this.#answered = answered;
  }

  protected override decodeHead(scanner: HeadScanner): ResponseHead | RefusalReason {
    const head = decodeResponseHead(scanner, this.#answered!);
    if (typeof head !== 'string' && !head.interim) this.#answered = undefined;
    return head;
  }

  protected override isInterim(head: ResponseHead): boolean {
    return head.interim;
  }

  protected override mayPause(head: ResponseHead): boolean {
    return head.switches;
  }

  protected override mayBegin(): boolean {
    return this.#answered !== undefined;
  }
}
