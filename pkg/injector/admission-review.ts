import { isUtf8 } from 'node:buffer';
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

/** What is answered: bounded, whatever was asked. */
export type Answer =
  | { readonly kind: 'skip'; readonly reason: string }
  /** `patch`: JSON, empty where nothing changes. */
  | { readonly kind: 'patch'; readonly patch: string; readonly warnings: readonly string[] }
  | { readonly kind: 'refuse'; readonly message: string; readonly code: number };

/** What was sent is no AdmissionReview of admission.k8s.io/v1. */
export class MalformedReview extends Error {
  override readonly name = 'MalformedReview';
}

const longestName = 512;
const longestReason = 1000;
/** The API server takes no larger object. */
const longestPatch = 3 * 1024 * 1024;
/** All warnings of an answer together are cut at 4096 characters by the API server, and each at 256. */
const maxWarnings = 12;
const longestWarning = 250;

/** Whoever reaches the webhook may ask, not the API server alone: what is only told to people is cut. */
function clip(text: string): string {
  return text.slice(0, longestName);
}

export function decodeReview(body: Buffer): AdmissionRequest {
  // Each byte that is none would become three.
  if (!isUtf8(body)) throw new MalformedReview('the body is not UTF-8');
  const review = toRecord(parse(body.toString('utf8')), 'the body');
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

/** The answer to a pod that is injected like this. */
export function toAnswer(injection: Injection): Answer {
  switch (injection.kind) {
    case 'skip':
      return { kind: 'skip', reason: cut(injection.reason, longestReason) };
    case 'refuse':
      return toRefusal(injection.message, 422);
    case 'patch': {
      const patch = injection.patch.length > 0 ? JSON.stringify(injection.patch) : '';
      if (patch.length > longestPatch) {
        return toRefusal('the pod with its sidecar is larger than anything that the API server takes', 422);
      }
      return { kind: 'patch', patch, warnings: toWarnings(injection.warnings) };
    }
  }
}

export function toRefusal(message: string, code: number): Answer {
  return { kind: 'refuse', message: cut(message, longestReason), code };
}

function toWarnings(all: readonly string[]): readonly string[] {
  const told = all.slice(0, maxWarnings).map((warning) => cut(`tulle: ${warning}`, longestWarning));
  return all.length > maxWarnings ? [...told, `tulle: and ${all.length - maxWarnings} more`] : told;
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
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
        ...(answer.patch === '' ? {} : { patchType: 'JSONPatch', patch: Buffer.from(answer.patch).toString('base64') }),
        ...(answer.warnings.length > 0 ? { warnings: answer.warnings } : {}),
      };
    case 'refuse': {
      const { code, message } = answer;
      const reason = code === 422 ? 'Invalid' : 'InternalError';
      return { allowed: false, status: { status: 'Failure', code, reason, message: `tulle: ${message}` } };
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
