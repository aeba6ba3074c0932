import type { ServerDuplexStream } from '@grpc/grpc-js';

/** `10.0.0.7:5123` without its port. */
export function toAddress(peer: string): string {
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
