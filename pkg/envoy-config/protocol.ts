import type { AppProtocol } from '../policy/inbound.ts';

export function isHttp(protocol: AppProtocol): boolean {
  return protocol === 'http' || protocol === 'grpc';
}
