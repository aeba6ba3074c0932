/**
 * What a sidecar in a network without a way out says to the one outside that dials for it, over a unix socket of its
 * own: one line, `CONNECT host port` or `RESOLVE host`. The answer is a line too, `OK` or `NO` and why; after the
 * `OK` to a CONNECT the bytes are the connection's.
 */
export type EgressRequest =
  | { readonly kind: 'connect'; readonly host: string; readonly port: number }
  | { readonly kind: 'resolve'; readonly host: string };

/** The name of the machine that the mesh runs on: its loopback, as far as its user has opened it. */
export const machineName = 'host.tulle.internal';

export const maxEgressLine = 512;

export function encodeEgressRequest(request: EgressRequest): string {
  return request.kind === 'connect' ? `CONNECT ${request.host} ${request.port}\n` : `RESOLVE ${request.host}\n`;
}

export function decodeEgressRequest(line: string): EgressRequest | undefined {
  const [verb, host = '', digits = '', ...more] = line.split(' ');
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$/.test(host) || more.length > 0) return undefined;
  if (verb === 'RESOLVE' && digits === '') return { kind: 'resolve', host };
  const port = Number(digits);
  if (verb !== 'CONNECT' || !/^[0-9]{1,5}$/.test(digits) || port < 1 || port > 65_535) return undefined;
  return { kind: 'connect', host, port };
}
