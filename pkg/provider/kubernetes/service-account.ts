import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Access, Credentials } from './access.ts';
import { ClusterError } from './cluster-error.ts';

/** The kubelet renews the token at four fifths of its hour; client-go reads the file once a minute, too. */
const readAgainMs = 60_000;

/** The ServiceAccount that the kubelet projects into a pod. Token and root are read again while they are used. */
export async function openServiceAccount({
  server = 'https://kubernetes.default.svc',
  directory = '/var/run/secrets/kubernetes.io/serviceaccount',
}: {
  readonly server?: string;
  readonly directory?: string;
}): Promise<Access> {
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(join(directory, name), 'utf8');
    } catch (cause) {
      const message = `${join(directory, name)} can't be read: this runs in no pod, or one without automountServiceAccountToken`;
      throw new ClusterError(0, 'CredentialsUnusable', message, { cause });
    }
  };
  let known: { readonly credentials: Credentials; readonly at: number } | undefined;

  async function credentials(): Promise<Credentials> {
    const now = Date.now();
    if (known === undefined || now - known.at >= readAgainMs) {
      const [token, ca] = await Promise.all([read('token'), read('ca.crt')]);
      known = { credentials: { headers: { authorization: `Bearer ${token.trim()}` }, ca }, at: now };
    }
    return known.credentials;
  }

  const namespace = (await read('namespace')).trim();
  await credentials();
  return {
    server: server.replace(/\/+$/, ''),
    namespace,
    credentials,
    renew: () => {
      known = undefined;
    },
  };
}
