import { ServerCredentials } from '@grpc/grpc-js';
import { silentLogger } from '../../pkg/observability/logger.ts';
import { Metrics } from '../../pkg/observability/metrics.ts';
import type { XdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import { createAdsServer } from '../../pkg/xds/ads-server.ts';
import type { AdsServer } from '../../pkg/xds/ads-server.ts';
import { toEncodedResource, toResourceView } from '../../pkg/xds/encode.ts';
import type { EncodedResource, ResourceView } from '../../pkg/xds/resources.ts';
import { secretType } from '../../pkg/xds/resources.ts';
import { envoyTypes } from '../../pkg/xds/type-traits.ts';
import { until } from './envoy.ts';
import { encodeEnvoy } from './envoy-encoder.ts';
import type { ServiceIdentity } from '../../pkg/policy/identity.ts';

export interface ProxyContent {
  readonly resources: XdsResources;
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
  readonly roots: string;
}

export interface TestAds {
  readonly server: AdsServer;
  /** Gives each proxy, by its node id, what it shall have; resolves when all have taken it. Throws on a NACK. */
  publish(content: ReadonlyMap<string, ProxyContent>): Promise<void>;
  close(): Promise<void>;
}

const encoded = new WeakMap<object, EncodedResource>();

/** A real ADS server on a unix socket whose content a test sets; clients are known by their node ids. */
export async function startAds(socket: string): Promise<TestAds> {
  let content: ReadonlyMap<string, ProxyContent> = new Map();
  let views = new Map<string, ReadonlyMap<string, ResourceView>>();
  const listeners = new Set<() => void>();
  const server = createAdsServer({
    source: {
      view: (client, typeUrl) => views.get(client.nodeId)?.get(typeUrl),
      subscribe(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    authenticate: ({ node }) =>
      Promise.resolve({
        ok: true,
        client: { identity: `spiffe://test/ns/x/sa/${node.id}` as ServiceIdentity },
      }),
    log: silentLogger,
    metrics: new Metrics(),
    limits: { requestsPerSecond: 100_000 },
  });
  await server.listen(`unix:${socket}`, ServerCredentials.createInsecure());

  function settled(): boolean {
    const clients = server.status().filter(({ client }) => content.has(client.nodeId));
    const nodes = new Set(clients.map(({ client }) => client.nodeId));
    if (nodes.size !== content.size) return false;
    if (!clients.every(({ types }) => types.length >= 2 && types.every(({ synced }) => synced))) return false;
    for (const { client, types } of clients) {
      const refused = types.find((type) => type.nack !== undefined);
      if (refused) throw new Error(`${client.nodeId} refuses ${refused.typeUrl}: ${refused.nack}`);
    }
    return true;
  }

  return {
    server,
    async publish(next) {
      content = next;
      views = new Map([...next].map(([node, proxy]) => [node, toViews(proxy)]));
      for (const listener of listeners) listener();
      await until(settled, () => JSON.stringify(server.status()));
    },
    close: () => server.close(),
  };
}

function toViews({ resources, certificate, privateKey, roots }: ProxyContent): ReadonlyMap<string, ResourceView> {
  const { listeners, routes, scopes, refusals, extensions, clusters, endpoints, peers } = resources;
  const secrets = [
    toSecret('identity', {
      tls_certificate: {
        certificate_chain: { inline_string: certificate },
        private_key: { inline_string: privateKey },
      },
    }),
    toSecret('roots', { validation_context: { trusted_ca: { inline_string: roots } } }),
    ...[...peers].map(([name, identities]) =>
      toSecret(name, {
        validation_context: {
          trusted_ca: { inline_string: roots },
          match_typed_subject_alt_names: identities.map((exact) => ({ san_type: 'URI', matcher: { exact } })),
        },
      }),
    ),
  ];
  return new Map([
    [envoyTypes.listener, toView(listeners)],
    [envoyTypes.route, toView(routes)],
    [envoyTypes.scopedRoute, toView(new Map([...refusals, ...scopes]))],
    [envoyTypes.extension, toView(extensions)],
    [envoyTypes.cluster, toView(clusters)],
    [envoyTypes.endpoints, toView(endpoints)],
    [secretType, toResourceView(secrets)],
  ]);
}

function toSecret(name: string, fields: object): EncodedResource {
  return toEncodedResource(
    name,
    secretType,
    encodeEnvoy(secretType.slice(secretType.indexOf('/') + 1), { name, ...fields }),
  );
}

function toView(resources: ReadonlyMap<string, { readonly '@type': string }>): ResourceView {
  return toResourceView([...resources].map(([name, resource]) => toEncoded(name, resource)));
}

function toEncoded(name: string, resource: { readonly '@type': string }): EncodedResource {
  const known = encoded.get(resource);
  if (known) return known;
  const { '@type': typeUrl, ...fields } = resource;
  const made = toEncodedResource(name, typeUrl, encodeEnvoy(typeUrl.slice(typeUrl.indexOf('/') + 1), fields));
  encoded.set(resource, made);
  return made;
}
