import type { AppProtocol } from '../policy/inbound.ts';
import type { ServicePort } from './snapshot.ts';

/** `appProtocol` values that have a meaning here; keys are lower case. */
const byAppProtocol: ReadonlyMap<string, AppProtocol> = new Map([
  ['http', 'http'],
  ['http2', 'http'],
  ['h2c', 'http'],
  ['kubernetes.io/h2c', 'http'],
  ['ws', 'http'],
  ['kubernetes.io/ws', 'http'],
  ['grpc-web', 'http'],
  ['grpc', 'grpc'],
  ['tcp', 'tcp'],
  ['tcp-server-first', 'tcp-server-first'],
  // The client's own TLS is opaque: bytes.
  ['https', 'tcp'],
  ['tls', 'tcp'],
  ['wss', 'tcp'],
  ['kubernetes.io/wss', 'tcp'],
  ['redis', 'tcp'],
  ['mongo', 'tcp'],
  ['postgres', 'tcp'],
  ['postgresql', 'tcp'],
  ['mysql', 'tcp-server-first'],
  ['smtp', 'tcp-server-first'],
  ['ftp', 'tcp-server-first'],
]);

const names: readonly AppProtocol[] = ['tcp-server-first', 'http', 'grpc', 'tcp'];

/**
 * What a Service port speaks: its `appProtocol`; else its name, `grpc` or `grpc-…`; else HTTP.
 * `unknown`: there is an `appProtocol` that says nothing to us, so the bytes pass as they are.
 */
export function protocolOf({ appProtocol, name }: Pick<ServicePort, 'appProtocol' | 'name'>): {
  readonly protocol: AppProtocol;
  readonly unknown?: true;
} {
  if (appProtocol !== undefined) {
    const protocol = byAppProtocol.get(appProtocol.toLowerCase());
    return protocol === undefined ? { protocol: 'tcp', unknown: true } : { protocol };
  }
  const lower = name.toLowerCase();
  return {
    protocol: names.find((known) => lower === known || lower.startsWith(`${known}-`)) ?? 'http',
  };
}

export function isHttp(protocol: AppProtocol): boolean {
  return protocol === 'http' || protocol === 'grpc';
}
