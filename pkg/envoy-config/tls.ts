import type { ServiceIdentity } from '../policy/identity.ts';
import type { CommonTlsContext, SdsSecretConfig, TransportSocket } from './envoy-types.ts';
import { ads } from './config-source.ts';
import { identitySecret, rootsSecret } from './names.ts';

/** TLS 1.3 and nothing else: Envoy as a client would stop at 1.2 (DECISIONS I2). */
export const tls13 = {
  tls_minimum_protocol_version: 'TLSv1_3',
  tls_maximum_protocol_version: 'TLSv1_3',
} as const;

export const rawBuffer: TransportSocket = {
  name: 'envoy.transport_sockets.raw_buffer',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer',
  },
};

/** Mutual TLS to a peer that must prove to be `peer`, whatever other certificate of the mesh it may hold. */
export function toClientTls(peer: ServiceIdentity, sni: string): TransportSocket {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni,
      common_tls_context: {
        ...ownCertificate,
        combined_validation_context: {
          default_validation_context: {
            match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peer } }],
          },
          validation_context_sds_secret_config: toSecret(rootsSecret),
        },
      },
    },
  };
}

/** Mutual TLS from any peer of the mesh whose certificate the secret `validation` accepts. */
export function toServerTls(validation: string, alpn?: readonly string[]): TransportSocket {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
      require_client_certificate: true,
      // A resumed session would skip the check of the peer's names.
      disable_stateless_session_resumption: true,
      disable_stateful_session_resumption: true,
      common_tls_context: {
        ...ownCertificate,
        ...(alpn ? { alpn_protocols: alpn } : {}),
        validation_context_sds_secret_config: toSecret(validation),
      },
    },
  };
}

function toSecret(name: string): SdsSecretConfig {
  return { name, sds_config: ads };
}

const ownCertificate: Pick<CommonTlsContext, 'tls_params' | 'tls_certificate_sds_secret_configs'> = {
  tls_params: tls13,
  tls_certificate_sds_secret_configs: [toSecret(identitySecret)],
};
