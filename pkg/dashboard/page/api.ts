import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChangePart } from '../change-stream.ts';

/** What the page knows of its connection: `lost` while the controller does not answer. */
export type Connection = 'connecting' | 'live' | 'lost';

type Listener = (parts: readonly ChangePart[]) => void;

const listeners = new Set<Listener>();
const connectionListeners = new Set<(connection: Connection) => void>();

let current: Connection = 'connecting';

/** Follows `GET /api/events` for as long as the page lives; the browser reconnects by itself. */
export function followChanges(): void {
  const source = new EventSource('/api/events');
  const tell = (connection: Connection): void => {
    current = connection;
    connectionListeners.forEach((listener) => listener(connection));
  };
  source.addEventListener('open', () => {
    tell('live');
    listeners.forEach((listener) => listener(['mesh', 'traffic']));
  });
  source.addEventListener('change', (event: MessageEvent<string>) => {
    const { parts } = JSON.parse(event.data) as { parts: ChangePart[] };
    listeners.forEach((listener) => listener(parts));
  });
  source.addEventListener('error', () => {
    tell('lost');
    // A refused stream is closed for good: begin again.
    if (source.readyState === EventSource.CLOSED) setTimeout(followChanges, 2_000);
  });
}

export function useConnection(): Connection {
  const [connection, setConnection] = useState(current);
  useEffect(() => {
    setConnection(current);
    connectionListeners.add(setConnection);
    return () => void connectionListeners.delete(setConnection);
  }, []);
  return connection;
}

export interface Resource<T> {
  /** The last that came: it stays while the next is on its way, also when that fails. */
  readonly value: T | undefined;
  readonly error: string | undefined;
}

/** Keeps the answer of a GET up to date: asked again when one of `parts` changes, never twice at once, not while hidden. */
export function useResource<T>(url: string | undefined, parts: readonly ChangePart[]): Resource<T> {
  const [resource, setResource] = useState<Resource<T> & { url?: string }>({
    value: undefined,
    error: undefined,
  });
  const state = useRef({ busy: false, stale: false });
  const wanted = parts.join();

  useEffect(() => {
    if (url === undefined) return undefined;
    let ended = false;
    state.current = { busy: false, stale: false };
    const own = state.current;
    const load = async (): Promise<void> => {
      if (own.busy || document.hidden) {
        own.stale = true;
        return;
      }
      own.busy = true;
      own.stale = false;
      try {
        const response = await fetch(url);
        const body = (await response.json()) as T & { error?: string };
        if (ended) return;
        if (response.ok) setResource({ value: body, error: undefined, url });
        else
          setResource({
            value: undefined,
            error: body.error ?? `the controller answered ${response.status}`,
            url,
          });
      } catch {
        if (!ended)
          setResource((last) => ({
            ...last,
            error: 'the controller does not answer',
          }));
      } finally {
        own.busy = false;
        if (own.stale && !ended && !document.hidden) void load();
      }
    };
    const onChange: Listener = (changed) => {
      if (changed.some((part) => wanted.includes(part))) void load();
    };
    const onVisible = (): void => {
      if (!document.hidden && own.stale) void load();
    };
    listeners.add(onChange);
    document.addEventListener('visibilitychange', onVisible);
    void load();
    return () => {
      ended = true;
      listeners.delete(onChange);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [url, wanted]);

  return resource;
}

/** The time, told anew every second, so that ages grow while nothing happens. */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
