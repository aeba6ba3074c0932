import type { CertificateAuthority, IssuedCertificate } from '../certs/authority.ts';
import type { LeafCertificates } from '../certs/leaf-certificates.ts';
import type { ServiceIdentity } from '../policy/identity.ts';
import { toEncodedResource, toResourceView } from '../xds/encode.ts';
import type { MessageEncoder } from '../xds/message-encoder.ts';
import { type EncodedResource, type ResourceView, secretType } from '../xds/resources.ts';
import { encodeSecret, secretNames } from '../xds/secret.ts';

type Peers = ReadonlyMap<string, readonly ServiceIdentity[]>;

/** The secrets of each identity: its own certificate, the roots, and for Envoy the peers that a port accepts. */
export interface SecretViews {
  view(identity: ServiceIdentity, peers?: Peers): ResourceView;
}

export interface SecretViewsOptions {
  readonly authority: CertificateAuthority;
  readonly leaves: LeafCertificates;
  readonly loadEncoder: () => MessageEncoder;
}

const noPeers: Peers = new Map();

export function createSecretViews({ authority, leaves, loadEncoder }: SecretViewsOptions): SecretViews {
  /** By certificate, so that what an expired one was part of goes with it. */
  const views = new WeakMap<IssuedCertificate, { bundle: string; peers: Peers; view: ResourceView }[]>();
  let roots: { readonly bundle: string; readonly resource: EncodedResource } | undefined;

  function rootsFor(bundle: string): EncodedResource {
    if (roots?.bundle !== bundle) {
      const secret = { kind: 'roots', name: secretNames.roots, roots: Buffer.from(bundle) } as const;
      roots = { bundle, resource: toEncodedResource(secret.name, secretType, encodeSecret(secret)) };
    }
    return roots.resource;
  }

  function compose(leaf: IssuedCertificate, bundle: string, peers: Peers): ResourceView {
    const { identity: name } = secretNames;
    const certificate = encodeSecret({
      kind: 'certificate',
      name,
      chain: Buffer.from(leaf.certificate),
      privateKey: Buffer.from(leaf.privateKey),
    });
    const contexts = [...peers].map(([peer, identities]) => toPeerSecret(peer, identities, bundle));
    return toResourceView([toEncodedResource(name, secretType, certificate), rootsFor(bundle), ...contexts]);
  }

  /** A validation context with the roots and exact URI SANs. No name at all is accepted for an empty list. */
  function toPeerSecret(name: string, identities: readonly ServiceIdentity[], bundle: string): EncodedResource {
    const exact = identities.length > 0 ? identities : ['spiffe://nobody'];
    const message = {
      name,
      validation_context: {
        trusted_ca: { inline_string: bundle },
        match_typed_subject_alt_names: exact.map((identity) => ({ san_type: 'URI', matcher: { exact: identity } })),
      },
    };
    const typeName = secretType.slice(secretType.lastIndexOf('/') + 1);
    return toEncodedResource(name, secretType, loadEncoder().encode(typeName, message));
  }

  return {
    view(identity, peers = noPeers) {
      const leaf = leaves.of(identity);
      const bundle = authority.bundle();
      const known = views.get(leaf) ?? [];
      const found = known.find((entry) => entry.bundle === bundle && entry.peers === peers);
      if (found) return found.view;
      const view = compose(leaf, bundle, peers);
      // The few newest: a certificate is used with one bundle, and with the peers of its pods.
      views.set(leaf, [{ bundle, peers, view }, ...known].slice(0, 16));
      return view;
    },
  };
}
