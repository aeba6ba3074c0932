import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from '../observability/logger.ts';
import { durationBuckets } from '../observability/metrics.ts';
import type { Metrics } from '../observability/metrics.ts';
import { createAnswerLog } from './answer-log.ts';
import { createFreshNamespaces } from './fresh-namespaces.ts';
import { decodeReview, MalformedReview, toAnswer, toRefusal, toReview } from './admission-review.ts';
import type { AdmissionRequest, Answer } from './admission-review.ts';
import { whyNotOfTheMesh } from './decide-injection.ts';
import type { InjectionNamespace, InjectionSettings } from './injection-settings.ts';
import { toInjection } from './to-injection.ts';

export interface InjectorOptions {
  /** As they are now: each pod is injected by what holds when it is created. */
  readonly settings: () => InjectionSettings;
  /**
   * The namespace as it is known, at once; `fresh`: as the API server has it, asked now. The API server calls only for
   * namespaces with the label, so that news of it may be older than the call.
   */
  readonly namespaceOf: (
    name: string,
    fresh?: boolean,
  ) => InjectionNamespace | undefined | Promise<InjectionNamespace | undefined>;
  /** Sees to what pods of a namespace need beside them, before one is admitted. Not called in a dry run. */
  readonly prepareNamespace: (name: string) => Promise<void>;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Milliseconds for all that is asked of others; the API server itself waits for 10 s by default. */
  readonly timeoutMillis?: number;
  readonly now?: () => number;
}

/** Larger than any object that the API server stores, and twice, since a review may hold the old object too. */
const maxBytes = 4 * 1024 * 1024;
/** Of all bodies that are on their way at once: anybody may send them, and memory is the control plane's. */
const maxHeldBytes = 48 * 1024 * 1024;
/** Of all that are being decided on: what is read of a hostile body takes some twenty times its size. */
const maxDecidedBytes = 8 * 1024 * 1024;

/** Where the webhook configuration of the chart calls, as OSM's did. */
export const injectionPath = '/mutate-pod-creation';

/**
 * Answers the API server's question what is to become of a pod that is being created. What can't be decided is refused:
 * no pod starts outside of the mesh by accident (DECISIONS K5). TLS is the caller's.
 */
export function createInjectorApp(options: InjectorOptions): RequestListener {
  const { metrics, log, now = () => performance.now() } = options;
  const answers = metrics.counter('tulle_injection_total', 'Pods that the API server asked about, by answer', [
    'answer',
    'namespace',
  ]);
  const seconds = metrics.histogram(
    'tulle_injection_seconds',
    'Time that the answer to the API server took',
    [],
    durationBuckets,
  );
  const freshNamespace = createFreshNamespaces({
    lookUp: async (name) => options.namespaceOf(name, true),
    now,
  });
  const tellOf = createAnswerLog(log, now);
  let held = 0;
  let decided = 0;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?')[0];
    if (path !== injectionPath) return send(response, 404, { message: `nothing is here: POST ${injectionPath}` });
    if (request.method !== 'POST') return send(response, 405, { message: 'POST an AdmissionReview' });
    if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
      return send(response, 415, { message: 'content-type must be application/json' });
    }
    const started = now();
    const body = await readBody(request);
    if (body === 'too large') return send(response, 413, { message: `more than ${maxBytes} bytes` });
    if (body === 'too many' || decided + body.length > maxDecidedBytes) {
      return send(response, 503, { message: 'too much is asked at once; try again' });
    }
    decided += body.length;
    try {
      await answerBody(body, response);
      seconds.observe((now() - started) / 1000);
    } finally {
      decided -= body.length;
    }
  }

  async function answerBody(body: Buffer, response: ServerResponse): Promise<void> {
    const review = decodeReview(body);
    // Only names that are there: nobody may fill the metrics with others.
    let namespace = '';
    const answer = await answerTo(review, (found) => (namespace = found));
    answers.inc({ answer: answer.kind, namespace });
    tell(review, answer);
    send(response, 200, toReview(review, answer));
  }

  async function readBody(request: IncomingMessage): Promise<Buffer | 'too large' | 'too many'> {
    const chunks: Buffer[] = [];
    let size = 0;
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) return 'too large';
    request.setTimeout(10_000, () => request.destroy(new Error('the body came too slowly')));
    try {
      for await (const chunk of request) {
        const { length } = chunk as Buffer;
        size += length;
        held += length;
        if (size > maxBytes) return 'too large';
        if (held > maxHeldBytes) return 'too many';
        chunks.push(chunk as Buffer);
      }
      return Buffer.concat(chunks);
    } finally {
      held -= size;
    }
  }

  async function answerTo(review: AdmissionRequest, onFound: (namespace: string) => void): Promise<Answer> {
    try {
      return await within(options.timeoutMillis ?? 8_000, decide(review, onFound));
    } catch (error) {
      tellOf('error', 'a pod could not be injected', { namespace: review.namespace, pod: review.name, error });
      const message = (error as Error).message.slice(0, 500);
      return toRefusal(
        `the sidecar could not be added (${message}); it is tried again with the next attempt to create the pod`,
        500,
      );
    }
  }

  async function decide(
    { namespace: name, pod, dryRun }: AdmissionRequest,
    onFound: (namespace: string) => void,
  ): Promise<Answer> {
    if (pod === undefined) return { kind: 'skip', reason: 'it is not the creation of a pod' };
    const settings = options.settings();
    let namespace = await options.namespaceOf(name);
    if (namespace === undefined || whyNotOfTheMesh(namespace, settings) !== undefined) {
      namespace = await freshNamespace(name);
    }
    if (namespace === undefined) throw new Error(`namespace ${name} is not known here yet`);
    onFound(name);
    const answer = toAnswer(toInjection(pod, namespace, settings));
    if (answer.kind === 'patch' && !dryRun) await options.prepareNamespace(name);
    return answer;
  }

  function tell({ namespace, name, dryRun, user }: AdmissionRequest, answer: Answer): void {
    const fields = { namespace, pod: name, user, ...(dryRun ? { dryRun } : {}) };
    if (answer.kind === 'refuse') tellOf('warn', 'a pod is refused', { ...fields, reason: answer.message });
    else if (answer.kind === 'skip')
      tellOf('info', 'a pod stays without a sidecar', { ...fields, reason: answer.reason });
    else tellOf('info', 'a pod gets its sidecar', { ...fields, warnings: answer.warnings });
  }

  return (request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (error instanceof MalformedReview) {
        tellOf('warn', 'an admission review can not be read', { reason: error.message });
        answers.inc({ answer: 'malformed', namespace: '' });
        send(response, 400, { message: error.message });
      } else if (!request.destroyed || !response.destroyed) {
        tellOf('error', 'an admission review failed', { error });
        send(response, 500, { message: 'internal error; see the log of the control plane' });
      }
    });
  };
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    // The rest of a body that was not read must not be taken for the next request.
    ...(status === 413 || status === 503 ? { connection: 'close' } : {}),
  });
  response.end(text);
}

async function within<T>(millis: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${millis} ms`)), millis);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
