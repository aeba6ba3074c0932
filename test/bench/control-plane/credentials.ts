import type { ServerCredentials } from '@grpc/grpc-js';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLeaf, createRoot } from '../../../pkg/certs/certificate.ts';
import { controllerName } from '../../../pkg/certs/workload-names.ts';
import { createTokenKey, issueToken } from '../../../pkg/certs/tokens.ts';
import { RenewableServerCredentials } from '../../../pkg/control-plane/server-credentials.ts';
import type { ClientCredentials } from './client.ts';
import { accountOf, type MeshShape } from './mesh-files.ts';

/** What a controller on a laptop is told of its credentials. */
export function toCredentialFiles(folder: string): { socket: string; caFile: string; tokenKeysFile: string } {
  return {
    socket: join(folder, 'xds.sock'),
    caFile: join(folder, 'roots.pem'),
    tokenKeysFile: join(folder, 'token.pub.json'),
  };
}

export function toClientCredentials(folder: string): ClientCredentials {
  return { roots: toCredentialFiles(folder).caFile, tokens: join(folder, 'tokens.json') };
}

/** A token for each pod, as the supervisor of a mesh on one machine makes them. */
export async function writeTokens(folder: string, shape: MeshShape): Promise<void> {
  const { privateKey, publicKeys } = await createTokenKey();
  writeFileSync(toCredentialFiles(folder).tokenKeysFile, JSON.stringify(publicKeys), { mode: 0o600 });
  const options = { now: Date.now(), lifetime: 3600 };
  const tokens: string[] = [];
  for (let proxy = 0; proxy < shape.proxies; proxy++) {
    const claims = { namespace: 'n', serviceAccount: accountOf(shape, proxy), pod: `n/pod-${proxy}` };
    tokens.push(await issueToken(privateKey, claims, options));
  }
  writeFileSync(toClientCredentials(folder).tokens, JSON.stringify(tokens), { mode: 0o600 });
}

/** TLS as the controller's, for a server that asks nobody who they are; writes the roots. */
export function toServerCredentials(folder: string): ServerCredentials {
  const validity = { from: Date.now(), lifetime: 3_600_000 };
  const root = createRoot('bench', validity);
  writeFileSync(toCredentialFiles(folder).caFile, root.certificate);
  return new RenewableServerCredentials(createLeaf(root, 'bench', { uris: [], dnsNames: [controllerName] }, validity));
}
