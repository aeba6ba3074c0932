import assert from 'node:assert/strict';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { silentLogger } from '../observability/logger.ts';
import type { Logger } from '../observability/logger.ts';
import { Metrics } from '../observability/metrics.ts';
import { applyPatch, meshed, podOf, settings } from './injection.fixture.ts';
import type { InjectionNamespace } from './injection-settings.ts';
import { createInjectorApp, injectionPath } from './injector-app.ts';
import type { InjectorOptions } from './injector-app.ts';
import type { PatchOperation } from './json-patch.ts';
import type { Pod } from './pod.ts';

interface Review {
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly patch?: string;
    readonly patchType?: string;
    readonly warnings?: readonly string[];
    readonly status?: { readonly code: number; readonly message: string };
  };
}

describe('the injection webhook', () => {
  const closing: (() => void)[] = [];
  const prepared: string[] = [];
  const lines: string[] = [];
  const metrics = new Metrics();
  const log: Logger = {
    ...silentLogger,
    info: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
    warn: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
  };

  async function serve(options: Partial<InjectorOptions> = {}): Promise<string> {
    const app = createInjectorApp({
      settings: () => settings,
      namespaceOf: () => meshed,
      prepareNamespace: (name) => Promise.resolve(void prepared.push(name)),
      ...{ metrics, log },
      ...options,
    });
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  beforeEach(() => {
    prepared.length = 0;
    lines.length = 0;
  });
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  const reviewOf = (pod: unknown, request: object = {}): object => ({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'u-1',
      namespace: 'shop',
      operation: 'CREATE',
      resource: { group: '', version: 'v1', resource: 'pods' },
      object: pod,
      ...request,
    },
  });
  const post = (url: string, body: unknown, type = 'application/json'): Promise<Response> =>
    fetch(`${url}${injectionPath}?timeout=10s`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body),
    });
  async function ask(url: string, pod: unknown, request?: object): Promise<Review['response']> {
    const answer = await post(url, reviewOf(pod, request));
    assert.equal(answer.status, 200);
    return ((await answer.json()) as Review).response;
  }

  it('answers with the patch, once the namespace is prepared', async () => {
    const response = await ask(await serve(), podOf());
    assert.deepEqual([response.uid, response.allowed, response.patchType], ['u-1', true, 'JSONPatch']);
    const patch = JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()) as PatchOperation[];
    const pod = applyPatch(podOf(), patch) as Pod;
    assert.equal(pod.spec?.initContainers?.[0]?.name, 'tulle-init');
    assert.deepEqual(prepared, ['shop']);
    assert.match(lines[0] ?? '', /a pod gets its sidecar .*"namespace":"shop","pod":"web-5d4f-"/);
    assert.match(metrics.render(), /tulle_injection_total\{answer="patch",namespace="shop"\} 1/);
  });

  it('prepares nothing in a dry run', async () => {
    assert.notEqual((await ask(await serve(), podOf(), { dryRun: true })).patch, undefined);
    assert.deepEqual(prepared, []);
  });

  it('lets a pod pass that stays without a sidecar, and says why in the log', async () => {
    const response = await ask(await serve(), podOf({}, { hostNetwork: true }));
    assert.deepEqual(response, { uid: 'u-1', allowed: true });
    assert.match(lines[0] ?? '', /stays without a sidecar .*network of its node/);
    assert.deepEqual(prepared, []);
  });

  it('refuses with the message that whoever creates the pod sees', async () => {
    const { allowed, status } = await ask(await serve(), podOf({ securityContext: { runAsUser: 1500 } }));
    assert.deepEqual([allowed, status?.code], [false, 422]);
    assert.match(status?.message ?? '', /^tulle: container "web" runs as user 1500/);
  });

  it('passes warnings on, none longer than the API server takes', async () => {
    const { warnings = [] } = await ask(await serve(), podOf({}, { dnsPolicy: 'None' }));
    assert.match(warnings[0] ?? '', /^tulle: dnsPolicy None/);
    assert.ok(warnings.every((warning) => warning.length <= 250));
  });

  it('asks anew for a namespace that seems to be out of the mesh: the API server may know more', async () => {
    const asked: boolean[] = [];
    const namespaceOf = (_name: string, fresh = false): InjectionNamespace => {
      asked.push(fresh);
      return fresh ? meshed : { ...meshed, labels: {} };
    };
    assert.notEqual((await ask(await serve({ namespaceOf }), podOf())).patch, undefined);
    assert.deepEqual(asked, [false, true]);
  });

  it('refuses what it can not decide, rather than let it start outside of the mesh', async () => {
    const cases: Partial<InjectorOptions>[] = [
      { namespaceOf: () => undefined },
      { prepareNamespace: () => Promise.reject(new Error('no ConfigMap')) },
      { prepareNamespace: () => new Promise(() => undefined), timeoutMillis: 50 },
      {
        settings: () => {
          throw new Error('no settings yet');
        },
      },
    ];
    for (const options of cases) {
      const { allowed, status } = await ask(await serve(options), podOf());
      assert.deepEqual([allowed, status?.code], [false, 500]);
      assert.match(status?.message ?? '', /the sidecar could not be added \(/);
    }
    assert.equal((await ask(await serve(), { spec: { containers: 5 } })).allowed, false);
  });

  it('keeps nothing of what strangers write into metrics, and little in the log', async () => {
    const url = await serve({ namespaceOf: () => undefined });
    await ask(url, podOf(), {
      namespace: 'made-up',
      userInfo: { username: 'u'.repeat(100_000) },
      name: 'n'.repeat(9_999),
    });
    assert.doesNotMatch(metrics.render(), /made-up/);
    assert.ok(lines.every((line) => line.length < 2_000));
  });

  it('takes no more than it can hold of many large bodies at once', async () => {
    const url = await serve();
    const answers: number[] = [];
    const large = Buffer.alloc(3 * 1024 * 1024, ' ');
    // Each stops short of its end, so that all are held at the same time.
    const sent = Array.from({ length: 20 }, () => {
      const headers = { 'content-type': 'application/json', 'content-length': large.length + 1 };
      const request = sendRequest(`${url}${injectionPath}`, { method: 'POST', headers }, (response) => {
        answers.push(response.statusCode ?? 0);
        response.resume();
      });
      request.on('error', () => undefined);
      request.write(large);
      return request;
    });
    const first = sent.map((request) => new Promise<unknown>((resolve) => request.once('response', resolve)));
    await Promise.race(first);
    assert.deepEqual([...new Set(answers)], [503]);
    for (const request of sent) request.destroy();
    await Promise.all(sent.map((request) => new Promise((resolve) => request.once('close', resolve))));
    while ((await post(url, reviewOf(podOf()))).status === 503) await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await ask(url, podOf())).allowed, true);
  });

  it('decides on no more than it can hold of what large bodies become', async () => {
    let answer = (): void => undefined;
    const known = new Promise<InjectionNamespace>((resolve) => (answer = () => resolve(meshed)));
    const url = await serve({ namespaceOf: () => known });
    const large = podOf({}, {}, { large: 'x'.repeat(3 * 1024 * 1024) });
    const asked = Array.from({ length: 3 }, () => post(url, reviewOf(large)));
    assert.equal((await Promise.race(asked)).status, 503);
    answer();
    const statuses = await Promise.all(asked.map(async (one) => (await one).status));
    assert.deepEqual(statuses.sort(), [200, 200, 503]);
    assert.equal((await ask(url, podOf())).allowed, true);
  });

  it('asks the API server about a namespace a few times for many pods that name it at once', async () => {
    let asked = 0;
    const namespaceOf = (_name: string, fresh = false): InjectionNamespace | undefined => {
      if (fresh) asked += 1;
      return fresh ? meshed : undefined;
    };
    const url = await serve({ namespaceOf });
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(url, podOf())));
    assert.ok(answers.every(({ patch }) => patch !== undefined));
    assert.ok(asked < 20, `asked ${asked} times`);
  });

  it('answers and tells little of what is long', async () => {
    const url = await serve();
    const long = 'x'.repeat(1_000_000);
    const refused = await ask(url, podOf({}, {}, { 'tulle.dev/log-level': long }));
    assert.ok((refused.status?.message ?? '').length < 1_100);
    const probe = { httpGet: { port: long } };
    const containers = Array.from({ length: 3 }, () => ({ ...podOf().spec?.containers?.[0], readinessProbe: probe }));
    const { warnings = [] } = await ask(url, podOf({}, { containers }));
    assert.ok(warnings.length === 3 && warnings.every((warning) => warning.length <= 250));
    const many = Array.from({ length: 150 }, () => ({ name: 'c', readinessProbe: { httpGet: { port: 'no' } } }));
    const { warnings: few = [] } = await ask(url, podOf({}, { containers: many }));
    assert.deepEqual([few.length, few.at(-1)], [13, 'tulle: and 138 more']);
    assert.ok(lines.every((line) => line.length < 4_000));
  });

  it('refuses a pod that is too large with its sidecar', async () => {
    const url = await serve();
    // With an ordinary sidecar the patch has all containers.
    const pod = podOf({ name: 'web', image: 'x'.repeat(3_200_000) });
    const { allowed, status } = await ask(
      await serve({ settings: () => ({ ...settings, nativeSidecars: 'never' }) }),
      pod,
    );
    assert.deepEqual([allowed, status?.code], [false, 422]);
    assert.match(status?.message ?? '', /larger than anything that the API server takes/);
    assert.equal((await ask(url, podOf())).allowed, true);
  });

  it('has nothing to say to what is not the creation of a pod', async () => {
    const url = await serve();
    for (const request of [
      { operation: 'UPDATE' },
      { resource: { group: 'apps', resource: 'deployments' } },
      { subResource: 'ephemeralcontainers' },
    ])
      assert.deepEqual(await ask(url, podOf(), request), { uid: 'u-1', allowed: true });
  });

  it('answers 4xx to what is no review', async () => {
    const url = await serve();
    const status = async (body: unknown, type?: string): Promise<number> => (await post(url, body, type)).status;
    assert.equal(await status('{'), 400);
    assert.equal(await status(Buffer.concat([Buffer.from('{"a":"'), Buffer.alloc(9, 0xff), Buffer.from('"}')])), 400);
    assert.equal(await status('[]'), 400);
    assert.equal(await status({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1beta1' }), 400);
    assert.equal(await status(reviewOf(podOf(), { uid: undefined })), 400);
    assert.equal(await status(reviewOf(podOf(), { uid: 'u'.repeat(1_000) })), 400);
    assert.equal(await status(reviewOf(podOf(), { namespace: '' })), 400);
    assert.equal(await status(reviewOf(podOf(), { namespace: '../kube-system' })), 400);
    assert.equal(await status(reviewOf(undefined)), 400);
    assert.equal(await status(reviewOf(podOf()), 'text/plain'), 415);
    assert.equal(await status(' '.repeat(5 * 1024 * 1024)), 413);
    assert.equal((await fetch(`${url}${injectionPath}`)).status, 405);
    assert.equal((await fetch(`${url}/`)).status, 404);
    const answer = (await (await post(url, '{')).json()) as { message: string };
    assert.match(answer.message, /the body is not JSON/);
  });
});
