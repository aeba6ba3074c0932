import type { Socket } from 'node:net';
import { isLoopback } from './call-peer.ts';

export interface GateLimits {
  /** Connections in all. */
  readonly connections: number;
  /** Connections of which nobody knows yet, or any longer, whose they are. */
  readonly strangers: number;
  /** The same from one address, unless it is this machine's own. */
  readonly strangersPerAddress: number;
  /** Milliseconds that a connection may be without a stream. */
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
 * and how long they may say nothing. A connection whose last known stream has ended is a stranger's again.
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
  timer: NodeJS.Timeout | undefined;
}

const nothing = (): void => undefined;
const nobody: StreamPass = { known: nothing, left: nothing, cut: nothing };

export function createConnectionGate({ limits, onRefused }: ConnectionGateOptions): ConnectionGate {
  const entries = new Map<string, Entry>();
  const sockets = new Set<Socket>();
  const perAddress = new Map<string, number>();
  let strangers = 0;

  function count(address: string, by: 1 | -1): void {
    strangers += by;
    const now = (perAddress.get(address) ?? 0) + by;
    if (now > 0) perAddress.set(address, now);
    else perAddress.delete(address);
  }

  function reasonAgainst(address: string): Pick<GateRefusal, 'kind' | 'reason'> | undefined {
    if (sockets.size >= limits.connections) return { kind: 'connections', reason: 'too many connections' };
    if (strangers >= limits.strangers) return { kind: 'strangers', reason: 'too many connections of strangers' };
    if (isLoopback(address) || (perAddress.get(address) ?? 0) < limits.strangersPerAddress) return undefined;
    return { kind: 'strangers', reason: 'too many connections of strangers from one address' };
  }

  function expect(entry: Entry): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      if (entry.streams > 0) return;
      onRefused({ kind: 'idle', reason: 'a connection without a stream', address: entry.address });
      entry.socket.destroy();
    }, limits.firstStream);
    entry.timer.unref();
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
      const entry: Entry = { socket, address, streams: 0, known: 0, timer: undefined };
      entries.set(peer, entry);
      count(address, 1);
      expect(entry);
      keep(socket, () => {
        clearTimeout(entry.timer);
        if (entry.known === 0) count(address, -1);
        if (entries.get(peer) === entry) entries.delete(peer);
      });
      return true;
    },

    enter(peer) {
      const entry = entries.get(peer);
      if (!entry) return nobody;
      const { address, socket } = entry;
      let isKnown = false;
      let isOpen = true;
      entry.streams += 1;
      return {
        known() {
          if (!isOpen || isKnown) return;
          isKnown = true;
          entry.known += 1;
          if (entry.known === 1 && sockets.has(socket)) count(address, -1);
        },
        left() {
          if (!isOpen) return;
          isOpen = false;
          entry.streams -= 1;
          if (!sockets.has(socket)) return;
          if (isKnown) entry.known -= 1;
          if (isKnown && entry.known === 0) count(address, 1);
          if (entry.streams === 0) expect(entry);
        },
        cut: () => void socket.destroy(),
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
