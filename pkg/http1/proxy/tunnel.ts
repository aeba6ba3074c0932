import type { Duplex } from 'node:stream';
import type { Deadlines, Timed } from './deadlines.ts';

export interface TunnelOptions {
  readonly client: Duplex;
  readonly upstream: Duplex;
  /** Read already, behind the head. */
  readonly fromClient: Buffer;
  readonly fromUpstream: Buffer;
  readonly deadlines: Deadlines;
  /** Milliseconds without a byte that end it. */
  readonly silence: number;
  /** Once, when both directions have ended. */
  readonly onEnd: (fromClientBytes: number, fromUpstreamBytes: number) => void;
}

/** Joins two sockets: bytes, back-pressure and ends of either side pass to the other. Returns what cuts it. */
export function tunnel(options: TunnelOptions): () => void {
  const { client, upstream, deadlines, silence, onEnd } = options;
  const bytes = [options.fromClient.length, options.fromUpstream.length];
  let ended = false;
  let closed = 0;
  const cut = (): void => {
    if (ended) return;
    ended = true;
    deadlines.remove(timed);
    client.destroy();
    upstream.destroy();
    onEnd(bytes[0]!, bytes[1]!);
  };
  const timed: Timed = { deadline: deadlines.after(silence), expire: cut };
  deadlines.add(timed);

  const join = (from: Duplex, to: Duplex, side: 0 | 1, first: Buffer): void => {
    if (first.length > 0) to.write(first);
    from.on('data', (chunk: Buffer) => {
      bytes[side]! += chunk.length;
      timed.deadline = deadlines.after(silence);
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.once('end', () => to.end());
    from.on('error', cut);
    from.once('close', () => {
      // A side that has ended both ways closes by itself; the other may still have something to write.
      if (from.readableEnded && from.writableFinished && ++closed === 1) return;
      cut();
    });
    from.resume();
  };
  join(client, upstream, 0, options.fromClient);
  join(upstream, client, 1, options.fromUpstream);
  return cut;
}
