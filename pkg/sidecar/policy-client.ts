import type { Logger } from '../observability/logger.ts';
import type { Gauge, Metrics } from '../observability/metrics.ts';
import { createAdsClient } from '../xds/ads-client.ts';
import type { AdsClient, AdsClientOptions, AdsClientState, AdsUpdate } from '../xds/ads-client.ts';
import { secretType, tulleTypes } from '../xds/resources.ts';
import { decodeSecret, secretNames } from '../xds/secret.ts';
import type { PolicyPart, PolicyStore } from './policy-store.ts';
import type { Secrets } from './secrets.ts';

export interface PolicyClientOptions {
  readonly store: PolicyStore;
  readonly secrets: Secrets;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly connection: Pick<AdsClientOptions, 'address' | 'ca' | 'token' | 'node'>;
  readonly signal: AbortSignal;
}

/**
 * Keeps the policy and the certificates of this workload up to date from the control plane. While it is away, what
 * was good stays in force; what can't be used is refused (NACK) and changes nothing.
 */
export interface PolicyClient {
  readonly state: AdsClientState;
  readonly done: Promise<void>;
}

/** Endpoints before what refers to them, so that no request finds a service without its endpoints (DECISIONS E6). */
const order: readonly PolicyPart[] = ['settings', 'endpoints', 'outbound', 'directory', 'inbound'];

export function runPolicyClient(options: PolicyClientOptions): PolicyClient {
  const { metrics, logger, connection, signal } = options;
  const connected: Gauge = metrics.gauge('tulle_xds_connected', '1 while the stream to the control plane is up.');
  const updates = metrics.counter('tulle_xds_updates_total', 'Responses of the control plane.', ['type', 'result']);
  let state: AdsClientState = { kind: 'connecting' };
  const client: AdsClient = createAdsClient({
    ...connection,
    types: [
      { typeUrl: secretType, names: [secretNames.roots, secretNames.identity] },
      ...order.map((part) => ({ typeUrl: tulleTypes[part] })),
    ],
    onUpdate(typeUrl, update) {
      const type = typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
      try {
        takeUpdate(options, typeUrl, update);
        updates.inc({ type, result: 'ack' });
      } catch (error) {
        updates.inc({ type, result: 'nack' });
        logger.warn('a response of the control plane is refused', {
          type,
          error: String(error),
        });
        throw error;
      }
    },
    onState(next) {
      if (next.kind === 'disconnected' && state.kind === 'connected') {
        logger.warn('the control plane is away; the last policy stays in force', { reason: next.reason });
      }
      state = next;
      connected.set(next.kind === 'connected' ? 1 : 0);
    },
    signal,
  });
  return {
    get state() {
      return state;
    },
    done: client.done,
  };
}

/** Applies one response; throws, with nothing applied, when it can't be used. */
function takeUpdate(
  { store, secrets }: Pick<PolicyClientOptions, 'store' | 'secrets'>,
  typeUrl: string,
  update: AdsUpdate,
): void {
  const part = partOf(typeUrl);
  if (part) {
    store.apply(part, { upserts: update.changed, removed: update.removed });
    return;
  }
  for (const { value } of update.changed) {
    const secret = decodeSecret(value);
    if (secret.kind === 'roots') secrets.setRoots(secret.roots.toString('utf8'));
    else {
      secrets.setIdentity({
        privateKey: secret.privateKey.toString('utf8'),
        certificateChain: secret.chain.toString('utf8'),
      });
    }
  }
}

function partOf(typeUrl: string): PolicyPart | undefined {
  return order.find((part) => tulleTypes[part] === typeUrl);
}
