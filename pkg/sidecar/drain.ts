import type { DataPlane, Side } from './data-plane.ts';
import type { ForwardProxy } from './forward-proxy.ts';

/**
 * Ends a sidecar without ending what is under way: no new inbound connections, answers that end theirs (GOAWAY for
 * HTTP/2), then a wait that is bounded. The outbound side goes on meanwhile, since the app needs it to finish.
 */
export async function drain(data: DataPlane, proxy: ForwardProxy | undefined, millis: number): Promise<void> {
  const { inbound, outbound, inboundServer, listeners } = data;
  const deadline = createDeadline(millis);
  try {
    inbound.draining = true;
    inboundServer?.stop();
    inbound.frontend.drain();
    await Promise.race([settled(inbound), deadline.reached]);
    outbound.draining = true;
    listeners.stop();
    proxy?.stop();
    outbound.frontend.drain();
    await Promise.race([settled(outbound), deadline.reached]);
  } finally {
    deadline.cancel();
  }
  for (const side of [inbound, outbound]) {
    side.tunnels.destroyAll();
    side.frontend.close();
    side.closePools();
  }
}

async function settled({ inFlight, tunnels }: Side): Promise<void> {
  await inFlight.idle();
  await tunnels.idle();
}

function createDeadline(millis: number): {
  reached: Promise<void>;
  cancel(): void;
} {
  let timer: NodeJS.Timeout | undefined;
  const reached = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, millis);
  });
  return { reached, cancel: () => clearTimeout(timer) };
}
