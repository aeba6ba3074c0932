import type { ServerDuplexStream } from '@grpc/grpc-js';

/** The address in what gRPC says of a peer: `10.0.0.7:5123`, `fd00::7:5123` (a port is always there, brackets never). */
export function toPeerAddress(peer: string): string {
  return peer.replace(/:\d+$/, '');
}

/** What stands behind `Bearer `. */
export function tokenOf(call: ServerDuplexStream<Buffer, Buffer>): string | undefined {
  const [value] = call.metadata.get('authorization');
  return typeof value === 'string' && value.startsWith('Bearer ') ? value.slice('Bearer '.length) : undefined;
}

/** Of this machine itself. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}
