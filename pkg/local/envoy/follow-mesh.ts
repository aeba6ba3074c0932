import { readFile } from 'node:fs/promises';
import type { Logger } from '../../observability/logger.ts';
import type { DirectoryEntry, MeshSettings } from '../../policy/proxy-policy.ts';
import { toHosts, writeHosts } from '../../sidecar/hosts-file.ts';
import { decodeDirectoryEntry, decodeJson, decodeSettings } from '../../sidecar/policy-decode.ts';
import { createAdsClient } from '../../xds/ads-client.ts';
import { tulleTypes } from '../../xds/resources.ts';
import type { EnvoyRunnerConfig } from './runner-config.ts';

/** What the program beside an Envoy knows of the mesh. */
export interface MeshView {
  readonly directory: ReadonlyMap<string, DirectoryEntry>;
  readonly settings: () => MeshSettings | undefined;
  /** Resolves when all is there for the first time, the names in the pod's hosts file included. */
  readonly ready: Promise<void>;
  readonly done: Promise<void>;
}

/** Follows the directory and the settings of the mesh, and keeps the pod's hosts file, if it has one, in step. */
export function followMesh(
  { pod, xds, hosts }: Pick<EnvoyRunnerConfig, 'pod' | 'xds' | 'hosts'>,
  logger: Logger,
  signal: AbortSignal,
): MeshView {
  const directory = new Map<string, DirectoryEntry>();
  const [namespace = '', name = ''] = pod.split('/');
  let settings: MeshSettings | undefined;
  let written = Promise.resolve();
  const state = { done: Promise.resolve() };
  const ready = new Promise<void>((resolve) => {
    const write = async (): Promise<void> => {
      if (hosts) await writeHosts(hosts.file, toHosts(directory.values(), namespace, hosts.self));
      resolve();
    };
    const client = createAdsClient({
      address: xds.address,
      ca: () => readFile(xds.ca),
      token: () => readFile(xds.tokenFile, 'utf8'),
      node: { id: pod, userAgent: 'tulle-names', metadata: { NAMESPACE: namespace, NAME: name } },
      types: [{ typeUrl: tulleTypes.settings }, { typeUrl: tulleTypes.directory }],
      onUpdate(typeUrl, { changed, removed }) {
        if (typeUrl === tulleTypes.settings) {
          for (const { name: key, value } of changed) settings = decodeSettings(key, decodeJson(key, value));
          return;
        }
        for (const { name: key, value } of changed)
          directory.set(key, decodeDirectoryEntry(key, decodeJson(key, value)));
        for (const key of removed) directory.delete(key);
        written = written.then(write).catch((error: unknown) => logger.error('names could not be written', { error }));
      },
      signal,
    });
    state.done = client.done;
  });
  return { directory, settings: () => settings, ready, done: state.done };
}
