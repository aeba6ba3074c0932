import type { Pod } from './pod.ts';
import type { Injection } from './to-injection.ts';

/** What is asked: one pod that is being created. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly namespace: string;
  /** As people know it; pods of controllers have only a beginning of a name yet. */
  readonly name: string;
  readonly dryRun: boolean;
  readonly user: string;
  /** Undefined where it isn't the creation of a pod: there is nothing to do then. */
  readonly pod: Pod | undefined;
}

export type Answer = Injection | { readonly kind: 'refuse'; readonly message: string; readonly code: number };

/** What was sent is no AdmissionReview of admission.k8s.io/v1. */
export class MalformedReview extends Error {
  override readonly name = 'MalformedReview';
}

const longestName = 512;

/** Whoever reaches the webhook may ask, not the API server alone: what is only told to people is cut. */
function clip(text: string): string {
  return text.slice(0, longestName);
}

export function decodeReview(text: string): AdmissionRequest {
  const review = toRecord(parse(text), 'the body');
  if (review['kind'] !== 'AdmissionReview' || review['apiVersion'] !== 'admission.k8s.io/v1') {
    throw new MalformedReview(
      `AdmissionReview of admission.k8s.io/v1 is understood, not ${quote(review['kind'])} of ${quote(review['apiVersion'])}`,
    );
  }
  const request = toRecord(review['request'], 'request');
  const { uid, namespace, operation } = request;
  if (typeof uid !== 'string' || uid === '') throw new MalformedReview('request.uid is missing');
  if (uid.length > longestName) throw new MalformedReview('request.uid is too long');
  if (typeof namespace !== 'string' || namespace === '') throw new MalformedReview('request.namespace is missing');
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace)) {
    throw new MalformedReview('request.namespace is not the name of a namespace');
  }
  const resource = toRecord(request['resource'], 'request.resource');
  const isPod = resource['group'] === '' && resource['resource'] === 'pods' && operation === 'CREATE';
  const pod = isPod && !request['subResource'] ? toRecord(request['object'], 'request.object') : undefined;
  const user = request['userInfo'] as { username?: unknown } | undefined;
  return {
    uid,
    namespace,
    name: clip(toName(request['name'], pod)),
    dryRun: request['dryRun'] === true,
    user: typeof user?.username === 'string' ? clip(user.username) : '',
    pod,
  };
}

export function toReview({ uid }: AdmissionRequest, answer: Answer): object {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, ...toResponse(answer) },
  };
}

function toResponse(answer: Answer): object {
  switch (answer.kind) {
    case 'skip':
      return { allowed: true };
    case 'patch':
      return {
        allowed: true,
        ...(answer.patch.length > 0
          ? { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(answer.patch)).toString('base64') }
          : {}),
        // Longer ones are cut by the API server, all of them together.
        ...(answer.warnings.length > 0
          ? { warnings: answer.warnings.map((warning) => `tulle: ${warning}`.slice(0, 250)) }
          : {}),
      };
    case 'refuse': {
      const code = 'code' in answer ? answer.code : 422;
      const reason = code === 422 ? 'Invalid' : 'InternalError';
      return { allowed: false, status: { status: 'Failure', code, reason, message: `tulle: ${answer.message}` } };
    }
  }
}

function toName(name: unknown, pod: object | undefined): string {
  if (typeof name === 'string' && name !== '') return name;
  const metadata = (pod as { metadata?: { name?: unknown; generateName?: unknown } } | undefined)?.metadata;
  for (const one of [metadata?.name, metadata?.generateName]) if (typeof one === 'string' && one !== '') return one;
  return '';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MalformedReview(`the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

function toRecord(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new MalformedReview(`${what} is not an object`);
}

function quote(value: unknown): string {
  return typeof value === 'string' ? `"${value.slice(0, 100)}"` : typeof value;
}
