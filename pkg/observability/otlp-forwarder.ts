export interface OtlpForwarderOptions {
  /** Base of the user's collector, `http://127.0.0.1:4318`; `/v1/traces` is added when it has no path. */
  readonly url: string;
  readonly signal: AbortSignal;
  /** A request that could not be delivered. */
  readonly onLost?: (reason: string) => void;
  readonly maxQueued?: number;
}

export interface OtlpForwarder {
  /** Queues one export request as it came. Never waits; beyond the bound the oldest is dropped and told. */
  send(body: Buffer, contentType: string): void;
}

const timeoutMs = 10_000;

/** Sends on what the receiver took, to the user's own Jaeger or collector as well (`--otlp URL`). In order, one at a time. */
export function createOtlpForwarder({ url, signal, onLost, maxQueued = 64 }: OtlpForwarderOptions): OtlpForwarder {
  const target = new URL(url);
  if (target.pathname === '/') target.pathname = '/v1/traces';
  const queue: { readonly body: Buffer; readonly contentType: string }[] = [];
  let sending = false;

  async function drain(): Promise<void> {
    sending = true;
    for (let next = queue.shift(); next !== undefined && !signal.aborted; next = queue.shift()) {
      try {
        const response = await fetch(target, {
          method: 'POST',
          headers: { 'content-type': next.contentType },
          body: new Uint8Array(next.body),
          redirect: 'error',
          signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        });
        await response.arrayBuffer();
        if (!response.ok) onLost?.(`${target.host} answered ${response.status}`);
      } catch (error) {
        if (!signal.aborted) onLost?.(`${target.host}: ${(error as Error).message}`);
      }
    }
    sending = false;
  }

  return {
    send(body, contentType) {
      queue.push({ body, contentType });
      if (queue.length > maxQueued) {
        queue.shift();
        onLost?.(`more than ${maxQueued} requests wait for ${target.host}`);
      }
      if (!sending) void drain();
    },
  };
}
