import { ServerCredentials } from '@grpc/grpc-js';
import type { CertificateAndKey } from '../certs/certificate.ts';

/** TLS 1.3 with a certificate that is exchanged while connections are open: they live on. */
export class RenewableServerCredentials extends ServerCredentials {
  constructor(certificate: CertificateAndKey) {
    super({ minVersion: 'TLSv1.3' }, toContext(certificate));
  }

  renew(certificate: CertificateAndKey): void {
    this.updateSecureContextOptions(toContext(certificate));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function toContext({ certificate, privateKey }: CertificateAndKey): {
  cert: string;
  key: string;
  minVersion: 'TLSv1.3';
} {
  return { cert: certificate, key: privateKey, minVersion: 'TLSv1.3' };
}
