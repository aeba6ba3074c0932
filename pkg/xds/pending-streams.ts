import { isLoopback } from './call-peer.ts';

/** Counts streams of which it is not known yet whose they are: so that one address does not fill the room of all. */
export interface PendingStreams {
  /** Undefined: there is room for one more. */
  reasonAgainst(address: string): string | undefined;
  /** Counts one until the returned function is called. */
  enter(address: string): () => void;
}

export interface PendingLimits {
  /** Streams of which it is not known yet whose they are. */
  readonly pendingStreams: number;
  /** The same from one address, unless it is this machine's own. */
  readonly pendingPerAddress: number;
}

export function createPendingStreams(limits: PendingLimits): PendingStreams {
  const counts = new Map<string, number>();
  let all = 0;

  function add(address: string, by: 1 | -1): void {
    all += by;
    const count = (counts.get(address) ?? 0) + by;
    if (count > 0) counts.set(address, count);
    else counts.delete(address);
  }

  return {
    reasonAgainst(address) {
      if (all >= limits.pendingStreams) return 'too many streams of strangers';
      if (isLocal(address) || (counts.get(address) ?? 0) < limits.pendingPerAddress) return undefined;
      return 'too many streams of strangers from one address';
    },
    enter(address) {
      let isOpen = true;
      add(address, 1);
      return () => {
        if (isOpen) add(address, -1);
        isOpen = false;
      };
    },
  };
}

/** gRPC says `unknown` of who came through the file of a socket. */
function isLocal(address: string): boolean {
  return address === 'unknown' || isLoopback(address);
}
