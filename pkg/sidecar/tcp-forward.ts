import type { Socket } from 'node:net';
import type { Ruling } from './call.ts';
import { Intake } from './intake.ts';
import type { Recorder } from './recorder.ts';
import type { Tunnels } from './tunnels.ts';

const maxAttempts = 3;

/** A connection that lives longer is recorded when it is so old: some live for days, and are to be seen meanwhile. */
export const recordAfterMillis = 1_000;

export interface TcpSite {
  readonly recorder: Recorder;
  readonly tunnels: Tunnels;
  readonly idleTimeout: number;
}

/**
 * Connects a TCP client through, or closes it. The peer is authorised before this is called and before the app is
 * connected to, so that a server that speaks first says nothing to a peer that is refused.
 */
export async function forwardTcp(site: TcpSite, client: Socket, ruling: Ruling): Promise<void> {
  const { recorder, tunnels, idleTimeout } = site;
  const startedAt = recorder.now();
  const trace = recorder.trace({});
  const { call } = ruling;
  let recorded = false;
  const end = (error?: string): void => {
    if (!recorded) recorder.end({ call, trace, startedAt, ...(error === undefined ? {} : { error }) });
    recorded = true;
  };
  client.on('error', () => undefined);
  if (ruling.kind === 'answer') {
    client.destroy();
    end();
    return;
  }
  for (let attempt = 0; attempt < maxAttempts && !client.destroyed; attempt++) {
    const route = ruling.next();
    if (!route) break;
    let server: Socket;
    const intake = new Intake();
    try {
      server = await route.upstream.connect('tcp', intake);
    } catch {
      route.failed();
      route.done();
      continue;
    }
    route.succeeded();
    const { stillAllowed } = ruling;
    const early = setTimeout(() => end(), recordAfterMillis);
    const onEnd = (error?: string): void => {
      clearTimeout(early);
      route.done();
      end(error);
    };
    if (client.destroyed || !stillAllowed()) {
      client.destroy();
      server.destroy();
      onEnd('client_gone');
      return;
    }
    tunnels.join({ client, server, idleTimeout, stillAllowed, onEnd, ...(intake.isAttached ? { intake } : {}) });
    return;
  }
  call.reason ??= 'Unavailable';
  client.destroy();
  end('connect');
}
