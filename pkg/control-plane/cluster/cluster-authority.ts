import { type CertificateAuthority, openAuthority } from '../../certs/authority.ts';
import type { Clock } from '../../certs/clock.ts';
import { openGivenAuthority } from '../../certs/given-authority.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';
import { ClusterError } from '../../provider/kubernetes/cluster-error.ts';
import { createSecretStore, readSecret } from '../../provider/kubernetes/secret-store.ts';
import { leafLifetime } from '../core.ts';
import type { ClusterControllerConfig } from './cluster-config.ts';

export interface ClusterAuthorityOptions {
  readonly config: ClusterControllerConfig;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

const retry = 1_000;

/**
 * The CA in its Secret: our own, made by whoever comes first (DECISIONS I5), or one that is given. An API server that does
 * not answer is waited for; a Secret that says something unusable is an error.
 */
export async function openClusterAuthority(options: ClusterAuthorityOptions): Promise<CertificateAuthority> {
  const { config, cluster, clock, log, signal, sleep } = options;
  const { namespace, caSecret: name, caManaged } = config.kubernetes;
  const secret = { cluster, namespace, name };

  async function open(): Promise<CertificateAuthority> {
    if (caManaged) {
      return openAuthority({ store: createSecretStore(secret), clock, name: config.mesh.trustDomain });
    }
    const announce = Math.min(leafLifetime(config) / 4, 300_000);
    const authority = await openGivenAuthority({ read: () => readGiven(secret), clock, announce });
    authority.subscribe(() => {
      const step = authority.rotation().step;
      const fields = { secret: `${namespace}/${name}`, seconds: Math.round(announce / 1000) };
      if (step === 'announced') log.info('the given CA has changed: it is trusted from now on, and signs soon', fields);
      else log.info('the given CA that was read last signs from now on', { secret: fields.secret });
    });
    return authority;
  }

  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof ClusterError)) {
        throw new Error(`Secret ${namespace}/${name}: ${(error as Error).message}`, { cause: error });
      }
      log.error('the Secret of the certificate authority could not be read', { secret: `${namespace}/${name}`, error });
      await sleep(retry, signal);
      if (signal.aborted) throw error;
    }
  }
}

async function readGiven(
  secret: Parameters<typeof readSecret>[0],
): ReturnType<Parameters<typeof openGivenAuthority>[0]['read']> {
  const { 'tls.crt': certificate, 'tls.key': privateKey, 'ca.crt': roots } = await readSecret(secret);
  if (certificate === undefined || privateKey === undefined) throw new Error('it has no tls.crt and tls.key');
  return { certificate, privateKey, ...(roots === undefined ? {} : { roots }) };
}
