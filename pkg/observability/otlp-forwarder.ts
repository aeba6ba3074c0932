import { createExportQueue } from './export-queue.ts';

export interface OtlpForwarderOptions {
  /** Base of the user's collector, `http://127.0.0.1:4318`; `/v1/traces` is added when it has no path. */
  readonly url: string;
  readonly signal: AbortSignal;
  readonly onLost?: (exports: number) => void;
  /** Which collector does not take what it is sent, and why; at most once a minute. */
  readonly onComplaint?: (why: string) => void;
}

export interface OtlpForwarder {
  /** Queues one export request as it came. Never waits; beyond a bound in bytes the oldest is dropped and counted. */
  send(body: Buffer, contentType: string): void;
}

const timeoutMs = 10_000;

/** Sends on what the receiver took, to the user's own Jaeger or collector as well (`--otlp URL`). */
export function createOtlpForwarder({ url, signal, onLost, onComplaint }: OtlpForwarderOptions): OtlpForwarder {
  const target = new URL(url);
  if (target.pathname === '/') target.pathname = '/v1/traces';
  const queue = createExportQueue({
    async post({ body, contentType }) {
      const response = await fetch(target, {
        method: 'POST',
        headers: { 'content-type': contentType },
        body: body as Uint8Array<ArrayBuffer>,
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      }).catch((error: unknown) => {
        throw new Error(whyOf(error));
      });
      await response.arrayBuffer();
      return response.status;
    },
    onLost: (exports) => onLost?.(exports),
    onComplaint: (why) => onComplaint?.(`${target.host}: ${why}`),
    now: () => performance.now(),
  });
  signal.addEventListener('abort', () => queue.close(), { once: true });
  return { send: (body, contentType) => queue.send({ body, contentType }) };
}

/** `fetch` itself says only that it failed. */
function whyOf(error: unknown): string {
  const { message, cause } = error as Error;
  const { code, message: detail } = (cause ?? {}) as NodeJS.ErrnoException;
  return [detail, code, message].find((text) => text !== undefined && text !== '') ?? 'it failed';
}
