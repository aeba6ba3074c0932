import type { Http2Session, Http2Stream } from 'node:http2';

/** Counts the streams of a session, and closes it when it had none for so long. */
export interface Http2Idle {
  add(stream: Http2Stream): void;
  readonly streams: number;
}

/**
 * Own timers, since those of node's sessions outlive them (Node 20: `destroy` marks the session and then finds that
 * a destroyed one has no timeout to clear), and would keep each dead session in memory until they fire.
 */
export function closeWhenIdle(session: Http2Session, millis: number): Http2Idle {
  let streams = 0;
  let timer: NodeJS.Timeout | undefined;
  const rest = (): void => {
    timer = setTimeout(() => session.close(), millis);
    timer.unref();
  };
  rest();
  session.once('close', () => clearTimeout(timer));

  return {
    add(stream) {
      streams += 1;
      clearTimeout(timer);
      stream.once('close', () => {
        streams -= 1;
        if (streams === 0 && !session.destroyed) rest();
      });
    },
    get streams() {
      return streams;
    },
  };
}
