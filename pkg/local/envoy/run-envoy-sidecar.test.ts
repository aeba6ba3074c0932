import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { silentLogger } from '../../observability/logger.ts';
import { runEnvoySidecar } from './run-envoy-sidecar.ts';
import type { EnvoyRunnerConfig } from './runner-config.ts';

describe('runEnvoySidecar', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'envoy-sidecar-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const config = (): EnvoyRunnerConfig => ({
    pod: 'shop/web',
    account: 'shop/web',
    envoy: { program: join(dir, 'envoy'), args: [], env: {}, admin: join(dir, 'admin.sock') },
    resource: {},
    otlp: [],
    xds: { address: `unix:${join(dir, 'xds.sock')}`, ca: join(dir, 'ca.pem'), tokenFile: join(dir, 'token') },
    drainMillis: 0,
  });
  const options = { logger: silentLogger, write: () => undefined };

  it('ends when it is told to while there is no control plane, without having started Envoy', async () => {
    const stop = new AbortController();
    const ended = runEnvoySidecar(config(), options, stop.signal);
    stop.abort();
    assert.equal(await ended, 0);
  });

  it('ends when it was told to before it began', async () => {
    assert.equal(await runEnvoySidecar(config(), options, AbortSignal.abort()), 0);
  });

  it('fails where connections can not be redirected', async () => {
    const redirect = { tool: 'none', port: 15_001, ownIp: 'not an address' } as const;
    await assert.rejects(
      runEnvoySidecar({ ...config(), redirect }, options, new AbortController().signal),
      /not an IPv4 address/,
    );
  });
});
