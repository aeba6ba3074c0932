import type { DenyReason } from '../policy/decide.ts';
import type { HopTrace } from './trace-context.ts';

/** Why a sidecar answers by itself. The first four are the policy's (DECISIONS S11); the others are its own. */
export type AnswerReason =
  | DenyReason
  | 'NoPolicy'
  | 'EgressDenied'
  | 'Unavailable'
  | 'Timeout'
  | 'BadRequest'
  | 'Draining'
  | 'ProxyAuthRequired'
  | 'NotFound';

/** An answer that a sidecar gives in place of the app. */
export interface LocalAnswer {
  readonly status: number;
  readonly reason: AnswerReason;
  readonly body: string;
  /** Extra headers, flat. */
  readonly headers?: readonly string[];
}

export interface DeniedCall {
  /** `namespace/serviceaccount`; empty: unknown. */
  readonly source: string;
  /** `namespace/name:port`. */
  readonly service: string;
  readonly method?: string;
  readonly path?: string;
}

/** 403 as DECISIONS S11 has it: Envoy's first line, then what a person needs. */
export function toDenial(reason: AnswerReason, call: DeniedCall): LocalAnswer {
  const { service, method, path } = call;
  const source = call.source === '' ? 'unknown' : call.source;
  const what = method === undefined ? '' : ` ${method} ${printable(path ?? '/')}`;
  // What is pasted must not run what a caller wrote; a method may be any token.
  const verb = /^[A-Z-]+$/.test(method ?? '') ? method : '-';
  const request = method === undefined ? '' : ` ${verb} '${printable(path ?? '/').replaceAll("'", '%27')}'`;
  const ask = `tulle explain ${call.source === '' ? '-' : call.source} ${service}${request}`;
  return {
    status: 403,
    reason,
    body: `RBAC: access denied\ntulle: ${reason}: ${source} -> ${service}${what}; ask: ${ask}\n`,
  };
}

/**
 * Says which trace a denial belongs to; with a recorded one, the call can be asked about and allowed by name. No policy
 * allows calls out of the mesh, and of one that is not there yet nothing was recorded.
 */
export function withTrace(answer: LocalAnswer, { traceId, sampled }: HopTrace): LocalAnswer {
  if (answer.status !== 403) return answer;
  const isOfPolicy = answer.reason !== 'EgressDenied' && answer.reason !== 'NoPolicy';
  const more = sampled && isOfPolicy ? `trace ${traceId}: tulle suggest --trace ${traceId}` : `trace ${traceId}`;
  return { ...answer, body: `${answer.body.trimEnd()}; ${more}\n` };
}

/** 403 before the first policy arrived. */
export function toNoPolicyAnswer(): LocalAnswer {
  return {
    status: 403,
    reason: 'NoPolicy',
    body: 'RBAC: access denied\ntulle: NoPolicy: this sidecar has no policy from the control plane yet\n',
  };
}

export function toUnavailable(why: string): LocalAnswer {
  return {
    status: 503,
    reason: 'Unavailable',
    body: `tulle: Unavailable: ${why}\n`,
  };
}

export function toTimeout(why: string): LocalAnswer {
  return { status: 504, reason: 'Timeout', body: `tulle: Timeout: ${why}\n` };
}

export function toBadRequest(why: string, status = 400): LocalAnswer {
  return { status, reason: 'BadRequest', body: `tulle: BadRequest: ${why}\n` };
}

/** gRPC's code for an HTTP status (gRPC "HTTP to gRPC Status Code Mapping"). */
export function toGrpcStatus(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
    case 407:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
      return 14;
    case 504:
      return 4;
    default:
      return 2;
  }
}

/** `grpc-message` is percent-encoded (gRPC over HTTP/2). */
export function toGrpcMessage(body: string): string {
  let text = '';
  for (const byte of Buffer.from(body.trimEnd(), 'utf8')) {
    text += byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : toPercent(byte);
  }
  return text;
}

function toPercent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** A path in one line of text, and not too long. */
function printable(path: string): string {
  const text = path.replace(/[^\x21-\x7e]/g, (char) => encodeURIComponent(Buffer.from(char, 'latin1').toString()));
  return text.length > 512 ? `${text.slice(0, 512)}...` : text;
}
