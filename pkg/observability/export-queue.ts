/** A request of OTLP/HTTP as it came. */
export interface SpanExport {
  readonly body: Buffer;
  readonly contentType: string;
}

export interface ExportQueueOptions {
  /** Sends one request and gives the status of the answer; fails, within a bounded time, when none comes. */
  readonly post: (content: SpanExport) => Promise<number>;
  readonly onSent?: (exports: number) => void;
  /** `busy`: more waited than is kept; `failed`: it was sent and not taken. */
  readonly onLost: (exports: number, reason: 'busy' | 'failed') => void;
  /** Why exports are lost, at most once a minute. */
  readonly onComplaint: (why: string) => void;
  /** Milliseconds. */
  readonly now: () => number;
}

/** The way of exports to one receiver: in order, one request at a time, in bounded memory. */
export interface ExportQueue {
  /** Never waits; beyond the bound the oldest is dropped and counted. */
  send(content: SpanExport): void;
  /** Drops what waits; nothing is sent or told any more. */
  close(): void;
}

/** What waits; an export has 4 MiB at most. */
const maxBytes = 4 * 1024 * 1024;
const maxWaiting = 2_000;
/** What waits is sent as one request up to this size: one message after the other is one message in protobuf. */
const joined = 1024 * 1024;
const joinable = 'application/x-protobuf';
const quiet = 60_000;

export function createExportQueue({ post, onSent, onLost, onComplaint, now }: ExportQueueOptions): ExportQueue {
  const queue: SpanExport[] = [];
  let bytes = 0;
  let sending = false;
  let closed = false;
  let complained = Number.NEGATIVE_INFINITY;

  function lose(count: number, reason: 'busy' | 'failed', why: string): void {
    onLost(count, reason);
    if (now() - complained < quiet) return;
    complained = now();
    onComplaint(why);
  }

  async function drain(): Promise<void> {
    sending = true;
    // What comes in one turn of the event loop goes together, and the answer to who sent it goes first.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) {
      const { count, content } = take();
      const failure = await deliver(content);
      if (closed) return;
      if (failure === undefined) onSent?.(count);
      else lose(count, 'failed', failure);
    }
    sending = false;
  }

  /** Undefined when it was taken, else why not. One more try: a connection may end just when it is used again. */
  async function deliver(content: SpanExport): Promise<string | undefined> {
    let failure = '';
    for (let tries = 0; tries < 2 && !closed; tries++) {
      try {
        const status = await post(content);
        if (status >= 200 && status < 300) return undefined;
        failure = `it answered ${status}`;
        if (status < 500) break;
      } catch (error) {
        failure = (error as Error).message;
      }
    }
    return failure;
  }

  /** The oldest that waits, with those after it that can go in the same request. */
  function take(): { readonly count: number; readonly content: SpanExport } {
    const { contentType = joinable } = queue[0] ?? {};
    let count = 0;
    let size = 0;
    for (const { body, contentType: type } of queue) {
      const fits = count === 0 || (contentType === joinable && type === joinable && size + body.length <= joined);
      if (!fits) break;
      count += 1;
      size += body.length;
    }
    const bodies = queue.splice(0, count).map(({ body }) => body);
    bytes -= size;
    const [only] = bodies;
    return { count, content: { body: only && count === 1 ? only : Buffer.concat(bodies, size), contentType } };
  }

  return {
    send(content) {
      if (closed) return;
      queue.push(content);
      bytes += content.body.length;
      let dropped = 0;
      while (queue.length > 1 && (bytes > maxBytes || queue.length > maxWaiting)) {
        bytes -= queue.shift()?.body.length ?? 0;
        dropped += 1;
      }
      if (dropped > 0) lose(dropped, 'busy', 'more comes than it takes');
      if (!sending) void drain();
    },
    close() {
      closed = true;
      queue.length = 0;
    },
  };
}
