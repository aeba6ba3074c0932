import { readFile } from 'node:fs/promises';
import type { Logger } from '../../observability/logger.ts';
import type { DirectoryEntry } from '../../policy/proxy-policy.ts';
import { toHosts, writeHosts } from '../../sidecar/hosts-file.ts';
import { decodeDirectoryEntry, decodeJson } from '../../sidecar/policy-decode.ts';
import { createAdsClient } from '../../xds/ads-client.ts';
import { tulleTypes } from '../../xds/resources.ts';
import type { EnvoyRunnerConfig } from './runner-config.ts';

export interface NamesOptions {
  readonly pod: string;
  readonly redirect: NonNullable<EnvoyRunnerConfig['redirect']>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Keeps the names of the mesh in the pod's hosts file; resolves when they are there for the first time. */
export function keepNames({ pod, redirect, logger, signal }: NamesOptions): Promise<void> {
  const directory = new Map<string, DirectoryEntry>();
  const [namespace = '', name = ''] = pod.split('/');
  const { xds, hostsFile, self } = redirect;
  let written = Promise.resolve();
  return new Promise((resolve) => {
    const write = async (): Promise<void> => {
      await writeHosts(hostsFile, toHosts(directory.values(), namespace, self));
      resolve();
    };
    createAdsClient({
      address: xds.address,
      ca: () => readFile(xds.ca),
      token: () => readFile(xds.tokenFile, 'utf8'),
      node: {
        id: pod,
        userAgent: 'tulle-names',
        metadata: { NAMESPACE: namespace, NAME: name },
      },
      types: [{ typeUrl: tulleTypes.directory }],
      onUpdate(_typeUrl, { changed, removed }) {
        for (const { name: key, value } of changed)
          directory.set(key, decodeDirectoryEntry(key, decodeJson(key, value)));
        for (const key of removed) directory.delete(key);
        written = written.then(write).catch((error: unknown) => logger.error('names could not be written', { error }));
      },
      signal,
    });
  });
}
