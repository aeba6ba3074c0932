import { findDestination, findSource, type CallDestination, type CallSource } from '../explain/call-parties.ts';
import type { MeshFacts } from '../explain/mesh-facts.ts';
import { type CallRequest, toCallRequest } from '../explain/request.ts';
import { type Answer, answerOf, type CallSummary, summarize, walkCall } from '../explain/walk-call.ts';
import type { HttpMatch } from '../policy/match.ts';
import { matches } from '../policy/matches.ts';
import { samplePattern } from './sample-pattern.ts';

/** What is known of a call that a mesh recorded (`Call` of the controller's API has it all). */
export interface RecordedCall {
  readonly source: string;
  /** `namespace/name:port`. */
  readonly service: string;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  /** `namespace/serviceaccount` of who answered; '' when unknown. */
  readonly destination: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly verdict: 'allowed' | 'denied' | 'would-deny';
  readonly reason: string;
  /** `namespace/name` of the TrafficTarget that allowed it. */
  readonly rule: string;
  readonly mode: string;
}

export interface Replayed {
  readonly answer: Answer | 'unknown';
  readonly summary?: CallSummary;
  /** Why it can't be judged. */
  readonly why?: string;
}

/**
 * Puts a recorded call to a policy. `recordedUnder`: the policy that was in force then; what it must have asked of headers
 * that were not recorded is taken to have been there, since the call was let pass by it.
 */
export function replay(facts: MeshFacts, call: RecordedCall, recordedUnder: MeshFacts): Replayed {
  const question = toQuestion(facts, call, recordedUnder);
  if ('fault' in question) return { answer: 'unknown', why: question.fault };
  const { source, destination, request } = question;
  if (request?.kind === 'malformed') return { answer: 'malformed' };
  const summary = summarize(
    walkCall(facts.model, {
      entry: destination.entry,
      ...(source.identity !== undefined && { source: source.identity }),
      ...(destination.hostname !== undefined && { hostname: destination.hostname }),
      ...(request && { request: request.request }),
    }),
  );
  return { answer: answerOf(summary), summary };
}

export interface ReplayQuestion {
  readonly source: CallSource;
  readonly destination: CallDestination;
  readonly request?: CallRequest;
}

export function toQuestion(
  facts: MeshFacts,
  call: RecordedCall,
  recordedUnder: MeshFacts,
): ReplayQuestion | { readonly fault: string } {
  // As it is recorded of hosts outside of the mesh, which no object of SMI speaks of.
  if (call.service.startsWith('*/'))
    return { fault: `${call.service.slice(2)} is outside of the mesh, where egress decides` };
  const source = findSource(facts, call.source === '' ? '-' : call.source);
  if ('fault' in source) return source;
  const destination = findDestination(facts, call.service, source.value.namespace);
  if ('fault' in destination) return destination;
  const base = { source: source.value, destination: destination.value };
  if (call.method === '') return base;
  return { ...base, request: toRequest(call, recordedUnder) };
}

function toRequest(call: RecordedCall, recordedUnder: MeshFacts): CallRequest {
  const lines = Object.entries(call.headers).flatMap(([name, value]) =>
    value.split('\n').map((line): readonly [string, string] => [name, line]),
  );
  const sent = { method: call.method, target: call.path, headers: lines };
  const authority = call.authority === '' ? call.service : call.authority;
  const request = toCallRequest(sent, authority);
  if (request.kind === 'malformed' || call.rule === '' || call.verdict === 'denied') return request;
  const asked = matchesOf(recordedUnder, call.rule);
  if (asked.length === 0 || asked.some((match) => matches(match, request.request))) return request;
  for (const { headers = [], ...conditions } of asked) {
    if (headers.length === 0 || !matches(conditions, request.request)) continue;
    const missing = headers.flatMap(({ name, value }): readonly (readonly [string, string])[] => {
      const sample = samplePattern(value);
      return sample === undefined || name in call.headers ? [] : [[name, sample]];
    });
    const completed = toCallRequest({ ...sent, headers: [...lines, ...missing] }, authority);
    if (completed.kind === 'request' && matches({ ...conditions, headers }, completed.request)) return completed;
  }
  return request;
}

function matchesOf({ model }: MeshFacts, rule: string): readonly HttpMatch[] {
  for (const { inbound } of model.pods.values()) {
    const own = inbound.rules.find(({ origin }) => `${origin.namespace}/${origin.name}` === rule);
    if (own) return own.http ?? [];
  }
  return [];
}
