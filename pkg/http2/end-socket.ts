import type { Socket } from 'node:net';

/** How long a peer may take to close a connection that we have ended, in milliseconds. */
const lingering = 1_000;

/** Ends a connection once the peer has taken what was written, for which it has so many milliseconds. */
export function endSocket(socket: Socket, patience: number): void {
  const destroy = (): void => void socket.destroy();
  const last = setTimeout(destroy, patience).unref();
  socket.end(() => {
    clearTimeout(last);
    setTimeout(destroy, lingering).unref();
  });
  // What comes is read: a close with bytes unread would take back what the peer has not read.
  socket.resume();
}
