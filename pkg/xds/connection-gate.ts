import type { Socket } from 'node:net';
import { isLoopback } from './call-peer.ts';

export interface GateLimits {
  /** Connections in all. */
  readonly connections: number;
  /** Connections of which nobody knows yet, or any longer, whose they are. */
  readonly strangers: number;
  /** The same from one address, unless it is this machine's own. */
  readonly strangersPerAddress: number;
  /** Milliseconds that a connection may be a stranger's, and twice that while a stream of it is looked at; or Infinity. */
  readonly firstStream: number;
}

export interface ConnectionGateOptions {
  readonly limits: GateLimits;
  /** A connection was closed before anything was read of it, or since nothing came. */
  readonly onRefused: (refused: GateRefusal) => void;
}

export interface GateRefusal {
  readonly kind: 'connections' | 'strangers' | 'idle';
  readonly reason: string;
  readonly address: string;
}

/** One stream as its connection sees it. */
export interface StreamPass {
  /** It is known whose it is: its connection is no stranger's as long as it lasts. */
  known(): void;
  left(): void;
  /** Ends the connection whatever it still has to send. */
  cut(): void;
}

/**
 * Bounds what connections may cost before it is known whose they are: how many there are, from all and from one address,
 * and how long they may stay strangers, whatever they try. A connection whose last known stream has ended is a stranger's
 * again. Where there is no room for one more, the oldest of the address that has the most makes it.
 */
export interface ConnectionGate {
  /** False: there are too many, and it was closed. */
  take(socket: Socket): boolean;
  /** A stream begins, on the connection from `address:port`. */
  enter(peer: string): StreamPass;
  readonly strangers: number;
  readonly connections: number;
  /** Ends all. */
  close(): void;
}

interface Entry {
  readonly socket: Socket;
  readonly address: string;
  streams: number;
  known: number;
  /** Until it is closed, or about to be. */
  isOpen: boolean;
  timer: NodeJS.Timeout | undefined;
}

const nothing = (): void => undefined;
const nobody: StreamPass = { known: nothing, left: nothing, cut: nothing };

export function createConnectionGate({ limits, onRefused }: ConnectionGateOptions): ConnectionGate {
  const entries = new Map<string, Entry>();
  const sockets = new Set<Socket>();
  /** By address, the oldest first. */
  const strange = new Map<string, Set<Entry>>();
  let strangers = 0;

  const countOf = (address: string): number => strange.get(address)?.size ?? 0;

  /** It has so long to become somebody's. */
  function estrange(entry: Entry): void {
    const own = strange.get(entry.address) ?? new Set();
    strange.set(entry.address, own.add(entry));
    strangers += 1;
    if (Number.isFinite(limits.firstStream)) expect(entry, entry.streams > 0);
  }

  /** It is somebody's, or gone. */
  function settle(entry: Entry): void {
    clearTimeout(entry.timer);
    const own = strange.get(entry.address);
    if (!own?.delete(entry)) return;
    strangers -= 1;
    if (own.size === 0) strange.delete(entry.address);
  }

  function refuse(entry: Entry, refusal: Pick<GateRefusal, 'kind' | 'reason'>): void {
    onRefused({ ...refusal, address: entry.address });
    settle(entry);
    entry.isOpen = false;
    entry.socket.destroy();
  }

  function expect(entry: Entry, isLast: boolean): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      // What it has sent may be looked at just now.
      if (entry.streams > 0 && !isLast) expect(entry, true);
      else refuse(entry, { kind: 'idle', reason: 'a connection without a stream of a known client' });
    }, limits.firstStream);
    entry.timer.unref();
  }

  /** False: nobody has more than this address would. Whoever has many hides nobody else's. */
  function makeRoom(address: string): boolean {
    let most: Set<Entry> | undefined;
    for (const own of strange.values()) if (own.size > (most?.size ?? 0)) most = own;
    const [oldest] = most ?? [];
    if (!oldest || countOf(oldest.address) <= countOf(address) + 1) return false;
    refuse(oldest, { kind: 'strangers', reason: 'too many connections of strangers, the most from this address' });
    return true;
  }

  function reasonAgainst(address: string): Pick<GateRefusal, 'kind' | 'reason'> | undefined {
    if (sockets.size >= limits.connections) return { kind: 'connections', reason: 'too many connections' };
    if (!isLoopback(address) && countOf(address) >= limits.strangersPerAddress)
      return { kind: 'strangers', reason: 'too many connections of strangers from one address' };
    if (strangers < limits.strangers || makeRoom(address)) return undefined;
    return { kind: 'strangers', reason: 'too many connections of strangers' };
  }

  function keep(socket: Socket, onClosed: () => void): void {
    sockets.add(socket);
    // Whoever ends a connection badly is no error of ours; TLS listens for itself.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      onClosed();
    });
  }

  return {
    take(socket) {
      const { remoteAddress: address = '', remotePort = 0 } = socket;
      const against = reasonAgainst(address);
      if (against) {
        onRefused({ ...against, address });
        socket.on('error', () => undefined);
        socket.destroy();
        return false;
      }
      // A unix socket has no address: who may open its file is no stranger.
      if (address === '') {
        keep(socket, () => undefined);
        return true;
      }
      const peer = `${address}:${remotePort}`;
      const entry: Entry = { socket, address, streams: 0, known: 0, isOpen: true, timer: undefined };
      entries.set(peer, entry);
      estrange(entry);
      keep(socket, () => {
        entry.isOpen = false;
        settle(entry);
        if (entries.get(peer) === entry) entries.delete(peer);
      });
      return true;
    },

    enter(peer) {
      const entry = entries.get(peer);
      if (!entry) return nobody;
      let isKnown = false;
      let isOpen = true;
      entry.streams += 1;
      return {
        known() {
          if (!isOpen || isKnown) return;
          isKnown = true;
          entry.known += 1;
          if (entry.known === 1) settle(entry);
        },
        left() {
          if (!isOpen) return;
          isOpen = false;
          entry.streams -= 1;
          if (!isKnown) return;
          entry.known -= 1;
          if (entry.known === 0 && entry.isOpen) estrange(entry);
        },
        cut: () => void entry.socket.destroy(),
      };
    },

    get strangers() {
      return strangers;
    },
    get connections() {
      return sockets.size;
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
