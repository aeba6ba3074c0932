import { connect } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { closeWhenIdle } from './http2-idle.ts';
import type { Http2Idle } from './http2-idle.ts';
import { connectionWindow, http2Settings } from './http2-settings.ts';
import type { Upstream } from './upstream.ts';

/** HTTP/2 sessions, by the key of their upstream; many streams share one. */
export interface Http2Pool {
  /** Opens a stream. Rejects when the peer can't be reached: nothing was sent then. */
  open(upstream: Upstream, headers: OutgoingHttpHeaders, endStream: boolean): Promise<ClientHttp2Stream>;
  close(): void;
}

interface PoolOptions {
  /** A further session is opened when all have this many streams. */
  readonly streamsPerSession: number;
  readonly maxSessions: number;
  readonly idleTimeout: number;
}

interface Entry {
  readonly session: ClientHttp2Session;
  readonly idle: Http2Idle;
}

interface Host {
  readonly entries: Set<Entry>;
  opening: Promise<Entry> | undefined;
}

export function createHttp2Pool({ streamsPerSession, maxSessions, idleTimeout }: PoolOptions): Http2Pool {
  const hosts = new Map<string, Host>();
  let closed = false;

  function hostOf(key: string): Host {
    let host = hosts.get(key);
    if (!host) hosts.set(key, (host = { entries: new Set(), opening: undefined }));
    return host;
  }

  function find({ entries }: Host): Entry | undefined {
    let best: Entry | undefined;
    for (const entry of entries) {
      if (entry.session.closed || entry.session.destroyed) continue;
      const limit = Math.min(
        streamsPerSession,
        entry.session.remoteSettings?.maxConcurrentStreams ?? streamsPerSession,
      );
      const free = entry.idle.streams < limit || entries.size >= maxSessions;
      if (free && (!best || entry.idle.streams < best.idle.streams)) best = entry;
    }
    return best;
  }

  async function connectSession(upstream: Upstream, host: Host): Promise<Entry> {
    const socket = await upstream.connect('h2');
    const session = connect('http://upstream', {
      createConnection: () => socket,
      ...http2Settings,
    });
    const entry: Entry = { session, idle: closeWhenIdle(session, idleTimeout) };
    host.entries.add(entry);
    const retire = (): void => {
      host.entries.delete(entry);
      if (host.entries.size === 0 && !host.opening) hosts.delete(upstream.key);
    };
    session.once('connect', () => session.setLocalWindowSize(connectionWindow));
    session.on('close', retire);
    session.on('goaway', retire);
    // What it means for a stream is told to that stream.
    session.on('error', retire);
    if (closed) session.close();
    return entry;
  }

  function connectOnce(upstream: Upstream, host: Host): Promise<Entry> {
    if (host.opening) return host.opening;
    const opening = connectSession(upstream, host).finally(() => {
      host.opening = undefined;
      if (host.entries.size === 0) hosts.delete(upstream.key);
    });
    host.opening = opening;
    return opening;
  }

  return {
    async open(upstream, headers, endStream) {
      const host = hostOf(upstream.key);
      const entry = find(host) ?? (await connectOnce(upstream, host));
      const stream = entry.session.request(headers, {
        endStream,
        waitForTrailers: !endStream,
      });
      entry.idle.add(stream);
      return stream;
    },
    close() {
      closed = true;
      for (const { entries } of hosts.values()) for (const { session } of entries) session.close();
    },
  };
}
