import type { CertificateAuthority } from '../../certs/authority.ts';
import { fieldManager } from '../../provider/kubernetes/apply-object.ts';
import type { Cluster } from '../../provider/kubernetes/cluster.ts';

export interface WebhookBundleOptions {
  readonly cluster: Cluster;
  /** Of the MutatingWebhookConfiguration. */
  readonly name: string;
  readonly authority: Pick<CertificateAuthority, 'bundle'>;
  readonly isLeader: () => boolean;
}

/** Whether the API server knows our roots, so that it can call the webhook. */
export interface WebhookBundle {
  /** Undefined when all is well; else what is not. */
  missing(): string | undefined;
  /** Looks at the configuration; the leader puts into it what is missing. */
  reconcile(signal: AbortSignal): Promise<void>;
}

interface WebhookConfiguration {
  readonly metadata: { readonly resourceVersion: string };
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig?: { readonly caBundle?: string } }[];
}

/** Keeps `clientConfig.caBundle` of each webhook, and touches nothing else (DECISIONS K3). */
export function createWebhookBundle({ cluster, name, authority, isLeader }: WebhookBundleOptions): WebhookBundle {
  const path = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${encodeURIComponent(name)}`;
  let state: string | undefined = `the MutatingWebhookConfiguration ${name} has not been looked at yet`;

  async function reconcile(signal: AbortSignal): Promise<void> {
    let configuration: WebhookConfiguration;
    try {
      configuration = await cluster.request<WebhookConfiguration>('GET', path, { signal, timeoutMs: 10_000 });
    } catch (error) {
      if ((error as { status?: number }).status !== 404) throw error;
      state = `there is no MutatingWebhookConfiguration ${name}: pods are not injected`;
      return;
    }
    const { webhooks = [], metadata } = configuration;
    const bundle = authority.bundle();
    const encoded = Buffer.from(bundle).toString('base64');
    const wrong = webhooks.flatMap(({ clientConfig }, index) => (clientConfig?.caBundle === encoded ? [] : [index]));
    // A replica that is a step behind or ahead of the leader's roots is reached as long as the one that signs is there.
    const signing = bundle.slice(0, bundle.indexOf('-----END'));
    const knows = (text = ''): boolean => Buffer.from(text, 'base64').toString('utf8').includes(signing);
    const isKnown = webhooks.every(({ clientConfig }) => knows(clientConfig?.caBundle));
    state = isKnown ? undefined : `caBundle of the MutatingWebhookConfiguration ${name} is not set yet`;
    if (wrong.length === 0 || !isLeader()) return;
    const body = [
      { op: 'test', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
      ...wrong.map((index) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: encoded })),
    ];
    await cluster.request('PATCH', path, {
      query: { fieldManager },
      contentType: 'application/json-patch+json',
      body,
      signal,
      timeoutMs: 10_000,
    });
    state = undefined;
  }

  return { missing: () => state, reconcile };
}
