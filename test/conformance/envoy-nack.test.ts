import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRoot } from '../../pkg/certs/certificate.ts';
import type { Listener } from '../../pkg/envoy-config/envoy-listener-types.ts';
import type { RouteConfiguration } from '../../pkg/envoy-config/envoy-route-types.ts';
import type { XdsResources } from '../../pkg/envoy-config/to-xds-resources.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { startEnvoy, until } from '../support/envoy.ts';
import type { RunningEnvoy } from '../support/envoy.ts';
import { startAds } from '../support/envoy-ads.ts';
import type { ProxyContent, TestAds } from '../support/envoy-ads.ts';

/** A configuration that Tulle would never write: a listener on a socket, and a route with the pattern given. */
function resourcesOf(directory: string, pattern: string): XdsResources {
  const listener: Listener = {
    '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
    name: 'test',
    address: { pipe: { path: join(directory, 'test.sock') } },
    traffic_direction: 'OUTBOUND',
    filter_chains: [
      {
        name: 'test',
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: 'test',
              rds: { route_config_name: 'test', config_source: { ads: {}, resource_api_version: 'V3' } },
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                },
              ],
              normalize_path: true,
              merge_slashes: true,
              path_with_escaped_slashes_action: 'REJECT_REQUEST',
            },
          },
        ],
      },
    ],
  };
  const routes: RouteConfiguration = {
    '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
    name: 'test',
    virtual_hosts: [
      {
        name: 'test',
        domains: ['*'],
        routes: [{ match: { safe_regex: { regex: pattern } }, direct_response: { status: 200 } }],
      },
    ],
  };
  const none = new Map();
  return {
    listeners: new Map([['test', listener]]),
    routes: new Map([['test', routes]]),
    clusters: none,
    endpoints: none,
    scopes: none,
    refusals: none,
    extensions: none,
    peers: none,
    tcpChains: none,
  };
}

describe('configuration that Envoy refuses', function () {
  this.timeout(60_000);
  let directory = '';
  let ads: TestAds;
  let envoy: RunningEnvoy;

  const { certificate, privateKey } = createRoot('test', { from: Date.now(), lifetime: 60_000 });
  const contentOf = (pattern: string): Map<string, ProxyContent> =>
    new Map([['node', { resources: resourcesOf(directory, pattern), certificate, privateKey, roots: certificate }]]);
  const nacks = (): (string | undefined)[] =>
    ads.server.status().flatMap(({ types }) => types.flatMap(({ nack }) => nack ?? []));

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tulle-nack-'));
    const cache = join(homedir(), '.cache', 'tulle');
    const { program } = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true });
    const xds = join(directory, 'xds.sock');
    ads = await startAds(xds);
    const published = ads.publish(contentOf('/good'));
    envoy = await startEnvoy({
      program,
      directory: join(directory, 'envoy'),
      nodeId: 'node',
      nodeCluster: 'node',
      xds: { pipe: { path: xds } },
      otlp: { pipe: { path: join(directory, 'otlp.sock') } },
    });
    await published;
  });

  after(async () => {
    await envoy?.stop();
    await ads?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const get = (path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const call = request({ socketPath: join(directory, 'test.sock'), path, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      call.once('error', reject);
      call.end();
    });

  it('is told with what is wrong, is not sent again, and leaves the last good one in force', async () => {
    assert.equal(await get('/good'), 200);
    await assert.rejects(ads.publish(contentOf('/bad(')), /node refuses .*RouteConfiguration: .*missing \)/);
    const [first] = nacks();
    assert.match(first ?? '', /missing \): \/bad\(/);
    assert.equal(await get('/good'), 200);
    // The same again is no news.
    await assert.rejects(ads.publish(contentOf('/bad(')));
    const stat = async (): Promise<string | undefined> =>
      /http\.test\.rds\.test\.update_rejected: (\d+)/.exec((await envoy.admin('/stats')).body)?.[1];
    assert.equal(await stat(), '1');
  });

  it('is forgotten once it is put right', async () => {
    await ads.publish(contentOf('/better'));
    await until(async () => (await get('/better')) === 200);
    assert.deepEqual(nacks(), []);
    assert.equal(await get('/good'), 404);
  });
});
