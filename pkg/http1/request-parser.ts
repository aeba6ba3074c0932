import type { RequestHead } from './head.ts';
import type { HeadScanner } from './head-scanner.ts';
import type { Limits } from './limits.ts';
import { defaultLimits } from './limits.ts';
import { MessageParser } from './message-parser.ts';
import type { RefusalReason } from './refusal.ts';
import { decodeRequestHead } from './request-head.ts';

/** Takes the requests off a client's connection, pipelined ones one by one. */
export class RequestParser extends MessageParser<RequestHead> {
  constructor(limits: Limits = defaultLimits) {
    super(limits, true);
  }

  protected override decodeHead(scanner: HeadScanner): RequestHead | RefusalReason {
    return decodeRequestHead(scanner);
  }

  protected override mayPause(head: RequestHead): boolean {
    return head.maySwitch;
  }
}
