import assert from 'node:assert/strict';
import { ClusterError } from '../../provider/kubernetes/cluster-error.ts';
import { createWrittenObjects, type WrittenObjects } from '../../provider/kubernetes/written-objects.fixture.ts';
import { createWebhookBundle, type WebhookBundle } from './webhook-bundle.ts';

const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/injector';
const root = (name: string): string => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`;
const encode = (text: string): string => Buffer.from(text).toString('base64');
const { signal } = new AbortController();

interface Configuration {
  readonly metadata: { readonly resourceVersion: string };
  readonly webhooks: { failurePolicy?: string; clientConfig: { caBundle?: string; service?: object } }[];
}

describe('caBundle of the webhook', () => {
  let written: WrittenObjects;
  let bundle: string;
  let isLeader: boolean;
  let kept: WebhookBundle;
  beforeEach(async () => {
    written = createWrittenObjects();
    bundle = root('one');
    isLeader = true;
    kept = createWebhookBundle({
      cluster: written.cluster,
      name: 'injector',
      authority: { bundle: () => bundle },
      isLeader: () => isLeader,
    });
    const webhooks = ['a', 'b'].map((name) => ({ name, failurePolicy: 'Fail', clientConfig: { service: { name } } }));
    const metadata = { name: 'injector' };
    const contentType = 'application/apply-patch+yaml';
    await written.cluster.request('PATCH', path, { contentType, body: { metadata, webhooks } });
  });
  const now = (): Configuration => written.objects.get(path) as unknown as Configuration;

  it('is put into each webhook, and nothing else is touched', async () => {
    const before = JSON.stringify(now().webhooks);
    assert.match(kept.missing() ?? '', /not been looked at/);
    await kept.reconcile(signal);

    assert.equal(kept.missing(), undefined);
    const { webhooks } = now();
    assert.deepEqual(
      webhooks.map(({ clientConfig }) => clientConfig.caBundle),
      [encode(bundle), encode(bundle)],
    );
    for (const { clientConfig } of webhooks) delete clientConfig.caBundle;
    assert.equal(JSON.stringify(webhooks), before);
  });

  it('is put in again when somebody takes it out, and written no more often than that', async () => {
    await kept.reconcile(signal);
    const writes = (): number => written.requests.filter((request) => request.startsWith('PATCH')).length;
    const count = writes();
    await kept.reconcile(signal);
    assert.equal(writes(), count);

    delete now().webhooks[1]?.clientConfig.caBundle;
    await kept.reconcile(signal);
    assert.equal(now().webhooks[1]?.clientConfig.caBundle, encode(bundle));
  });

  it('is written by the leader alone; another replica is ready when its own root is in it', async () => {
    isLeader = false;
    await kept.reconcile(signal);
    assert.match(kept.missing() ?? '', /caBundle .* is not set yet/);
    for (const { clientConfig } of now().webhooks) clientConfig.caBundle = encode(root('two') + bundle);
    await kept.reconcile(signal);

    assert.equal(kept.missing(), undefined);
    assert.notEqual(now().webhooks[0]?.clientConfig.caBundle, encode(bundle));
  });

  it('follows the roots', async () => {
    await kept.reconcile(signal);
    bundle = root('two') + root('one');
    await kept.reconcile(signal);
    assert.equal(now().webhooks[0]?.clientConfig.caBundle, encode(bundle));
  });

  it('is missing without a configuration; a change in between is no loss', async () => {
    const stored = now() as unknown as never;
    written.objects.delete(path);
    await kept.reconcile(signal);
    assert.match(kept.missing() ?? '', /there is no MutatingWebhookConfiguration injector/);

    written.objects.set(path, stored);
    written.fault = (method) =>
      method === 'PATCH' ? { error: new ClusterError(422, 'Invalid', 'the test of the patch failed') } : undefined;
    await assert.rejects(kept.reconcile(signal), /the test of the patch failed/);
    written.fault = undefined;
    await kept.reconcile(signal);
    assert.equal(kept.missing(), undefined);
  });
});
