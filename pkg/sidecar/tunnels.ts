import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Intake } from './intake.ts';
import { Relay } from './relay.ts';

/**
 * Connections that carry bytes and no requests: TCP and what HTTP was upgraded to. They are asked again
 * whether they may go on when the policy changes (DECISIONS S11), and are waited for, then ended, on shutdown.
 */
export interface Tunnels {
  /** Joins two sides until both have ended. `onEnd` is called once. */
  join(tunnel: Tunnel): void;
  /** Ends those whose grant is gone. */
  recheck(): void;
  readonly size: number;
  /** Resolves when none is open. */
  idle(): Promise<void>;
  destroyAll(): void;
}

export interface Tunnel {
  readonly client: Duplex;
  readonly server: Duplex;
  /** Bytes that were read too early, by direction. */
  readonly fromClient?: Buffer;
  readonly fromServer?: Buffer;
  /** What the server's socket reads into, where that is not its stream. */
  readonly intake?: Intake;
  readonly idleTimeout: number;
  readonly stillAllowed: () => boolean;
  readonly onEnd: (error?: string) => void;
}

interface Open {
  readonly relay: Relay;
  readonly cut: (error: string) => void;
  /** Milliseconds without a byte. */
  quiet: number;
}

/** Silence is looked for so often, in milliseconds. */
const tick = 1_000;

export function createTunnels(): Tunnels {
  const open = new Map<Tunnel, Open>();
  let waiting: (() => void)[] = [];
  let clock: NodeJS.Timeout | undefined;

  /** One look for all: a timer that each byte moves costs more than the bytes. */
  function look(): void {
    for (const [{ idleTimeout }, entry] of open) {
      entry.quiet = entry.relay.takeMoved() ? 0 : entry.quiet + tick;
      if (entry.quiet >= idleTimeout) entry.cut('timeout');
    }
  }

  return {
    join(tunnel) {
      const { client, server, fromClient, fromServer, intake } = tunnel;
      let error: string | undefined;
      const cut = (why: string): void => {
        error ??= why;
        // A client that keeps its side open past a FIN would never learn of it.
        reset(client);
        server.destroy();
      };
      const relay = new Relay(client, server, intake);
      open.set(tunnel, { relay, cut, quiet: 0 });
      clock ??= setInterval(look, tick).unref();
      let closed = 0;
      const closing = (): void => {
        closed += 1;
        // One side is gone for good; a half-close is an `end`, and not this.
        if (closed === 1) {
          if (client.destroyed && !server.destroyed) finish(server);
          if (server.destroyed && !client.destroyed) finish(client);
          return;
        }
        if (closed !== 2 || !open.delete(tunnel)) return;
        tunnel.onEnd(error);
        if (open.size > 0) return;
        clearInterval(clock);
        clock = undefined;
        for (const resolve of waiting) resolve();
        waiting = [];
      };
      client.on('error', () => cut('reset'));
      server.on('error', () => cut('reset'));
      client.once('close', closing);
      server.once('close', closing);
      if (fromServer && fromServer.length > 0) client.write(fromServer);
      if (fromClient && fromClient.length > 0) server.write(fromClient);
      relay.start();
      if (client.destroyed || server.destroyed) cut('reset');
    },
    recheck() {
      for (const [tunnel, { cut }] of open) if (!tunnel.stillAllowed()) cut('revoked');
    },
    get size() {
      return open.size;
    },
    idle() {
      return open.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve));
    },
    destroyAll() {
      for (const { cut } of open.values()) cut('shutdown');
    },
  };
}

/** RST where there is one: not over TLS, and not on a unix socket. */
function reset(side: Duplex): void {
  if (side instanceof Socket && !(side instanceof TLSSocket) && side.remoteAddress !== undefined)
    side.resetAndDestroy();
  else side.destroy();
}

/** Lets what is buffered go out, then ends. */
function finish(side: Duplex): void {
  if (side.writableEnded) side.destroySoon?.();
  else side.end(() => side.destroy());
}

declare module 'node:stream' {
  interface Duplex {
    destroySoon?(): void;
  }
}
