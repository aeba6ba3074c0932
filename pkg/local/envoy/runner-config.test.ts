import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { decodeEnvoyRunnerConfig, type EnvoyRunnerConfig } from './runner-config.ts';

describe('decodeEnvoyRunnerConfig', () => {
  const byProxy: EnvoyRunnerConfig = {
    pod: 'shop/web-0',
    account: 'shop/web',
    envoy: { program: '/usr/bin/envoy', args: ['--log-level', 'warning'], env: { A: 'b' }, admin: '/run/x/admin.sock' },
    resource: { 'service.name': 'web' },
    otlp: ['unix:/run/x/otlp.sock'],
    xds: { address: 'unix:/run/x/xds.sock', ca: '/run/x/ca.pem', tokenFile: '/run/x/token' },
    drainMillis: 4_000,
  };
  const config: EnvoyRunnerConfig = {
    ...byProxy,
    redirect: { tool: 'nft', port: 15_001, ownIp: '10.244.0.2' },
    hosts: { file: '/run/x/hosts', self: { ip: '10.244.0.2', names: ['web-0'] } },
  };

  it('reads what is written for it, with the redirection and without', () => {
    for (const written of [config, byProxy])
      assert.deepEqual(decodeEnvoyRunnerConfig(JSON.stringify(written)), written);
  });

  it('names the field that is missing or wrong', () => {
    const wrong: [string, object][] = [
      ['pod', { ...config, pod: 'web-0' }],
      ['account', { ...config, account: undefined }],
      ['envoy.program', { ...config, envoy: undefined }],
      ['envoy.args', { ...config, envoy: { ...config.envoy, args: '--log-level' } }],
      ['envoy.env', { ...config, envoy: { ...config.envoy, env: null } }],
      ['resource', { ...config, resource: { 'service.name': 1 } }],
      ['otlp', { ...config, otlp: 'unix:/run/x/otlp.sock' }],
      ['xds.address', { ...config, xds: null }],
      ['xds.tokenFile', { ...config, xds: { ...config.xds, tokenFile: '' } }],
      ['drainMillis', { ...config, drainMillis: '4000' }],
      ['redirect.tool', { ...config, redirect: null }],
      ['redirect.port', { ...config, redirect: { ...config.redirect, port: 65_536 } }],
      ['redirect.ownIp', { ...config, redirect: { ...config.redirect, ownIp: 'localhost' } }],
      ['hosts.self.ip', { ...config, hosts: { file: '/run/x/hosts' } }],
    ];
    for (const [field, value] of wrong) {
      assert.throws(() => decodeEnvoyRunnerConfig(JSON.stringify(value)), {
        message: `configuration of the program beside Envoy: ${field} is missing or wrong`,
      });
    }
  });
});
