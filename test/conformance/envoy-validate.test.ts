import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRoot } from '../../pkg/certs/certificate.ts';
import { toBootstrap, toSecretFiles } from '../../pkg/envoy-config/bootstrap.ts';
import type { HttpConnectionManager } from '../../pkg/envoy-config/envoy-http-types.ts';
import type { FilterChain, Listener, NetworkFilter } from '../../pkg/envoy-config/envoy-listener-types.ts';
import { transparent } from '../../pkg/envoy-config/interception.ts';
import type { InterceptionMode } from '../../pkg/envoy-config/interception.ts';
import { toXdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import type { XdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { loadScenario } from '../support/scenario.ts';

const template = '/run/tulle/in-{port}.sock';
const modes: Readonly<Record<string, InterceptionMode>> = {
  transparent,
  isolated: { inbound: { kind: 'sockets', template }, outbound: { kind: 'redirect', port: 15001, meshOnly: true } },
  proxy: {
    inbound: { kind: 'sockets', template, appPorts: new Map([[14001, 24001]]) },
    outbound: {
      kind: 'proxy',
      port: 15009,
      authorization: 'Basic c2VjcmV0',
      tcpPorts: new Map([['bookwarehouse/mysql:3306', 13306]]),
    },
  },
};

/** Envoy itself reads everything, strictly: a field or a value that it doesn't know ends it. */
describe('envoy --mode validate', function () {
  this.timeout(120_000);
  let directory = '';
  let program = '';

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'tulle-validate-'));
    const cache = join(homedir(), '.cache', 'tulle');
    program = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true }).program;
  });

  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const [title, mode] of Object.entries(modes)) {
    for (const scenario of ['osm-bookstore', 'split-matches', 'shadow-target', 'grpc', 'headless-statefulset']) {
      it(`accepts what ${scenario} becomes, ${title}`, async () => {
        const { model } = await loadScenario(scenario);
        for (const [pod, policy] of model.pods) {
          const file = join(directory, 'envoy.json');
          writeFileSync(file, JSON.stringify(toStatic(directory, toXdsResources(policy, mode))));
          const { status, stderr } = spawnSync(program, ['--mode', 'validate', '-c', file, '-l', 'error'], {
            encoding: 'utf8',
          });
          assert.equal(status, 0, `${pod}: ${stderr}`);
        }
      });
    }
  }
});

/** A bootstrap that holds all that would come over ADS. */
function toStatic(directory: string, resources: XdsResources): object {
  const trust = {
    rootsFile: join(directory, 'roots.pem'),
    serverName: 'controller.tulle',
    tokenFile: join(directory, 'token'),
    directory,
  };
  writeFileSync(trust.tokenFile, 'token');
  writeFileSync(trust.rootsFile, createRoot('test', { from: Date.now(), lifetime: 60_000 }).certificate);
  for (const [name, content] of Object.entries(toSecretFiles(trust))) {
    writeFileSync(join(directory, name), JSON.stringify(content));
  }
  const bootstrap = toBootstrap({
    nodeId: 'shop/web-0',
    nodeCluster: 'shop/web',
    xds: { pipe: { path: join(directory, 'xds.sock') } },
    xdsTrust: trust,
    otlp: { socket_address: { address: 'otel-collector.tracing', port_value: 4318 } },
    admin: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  });
  const clusters = [...bootstrap.static_resources.clusters, ...[...resources.clusters.values()].map(withoutType)];
  const listeners = [...resources.listeners.values()].map((listener) => withRoutes(listener, resources));
  return { ...bootstrap, static_resources: { clusters, listeners } };
}

function withRoutes(listener: Listener, resources: XdsResources): object {
  const toChain = (chain: FilterChain): object => ({
    ...chain,
    filters: chain.filters.map((filter) => toFilter(filter, resources)),
  });
  const { default_filter_chain: rest, filter_chains: chains = [], listener_filters: filters = [] } = listener;
  return withoutType({
    ...listener,
    listener_filters: filters.map(({ config_discovery: discovery, ...filter }) =>
      discovery ? { ...filter, typed_config: resources.extensions.get(filter.name)?.typed_config } : filter,
    ),
    filter_chains: chains.map(toChain),
    ...(rest ? { default_filter_chain: toChain(rest) } : {}),
  });
}

function toFilter(filter: NetworkFilter, { routes, scopes, refusals }: XdsResources): object {
  const { rds, scoped_routes: scoped } = filter.typed_config as HttpConnectionManager;
  if (scoped) {
    // A list in a file may not be empty; what comes over ADS may.
    if (scopes.size + refusals.size === 0) return filter;
    const list = [...new Map([...refusals, ...scopes]).values()].map(withoutType);
    const inline = {
      ...scoped,
      scoped_rds: undefined,
      scoped_route_configurations_list: { scoped_route_configurations: list },
    };
    return { ...filter, typed_config: { ...filter.typed_config, scoped_routes: inline } };
  }
  const found = rds && routes.get(rds.route_config_name);
  if (!found) return filter;
  return { ...filter, typed_config: { ...filter.typed_config, rds: undefined, route_config: withoutType(found) } };
}

function withoutType(resource: object): object {
  return { ...resource, '@type': undefined };
}
