import type { LocalReplyConfig, ResponseMapper } from './envoy-http-types.ts';
import type { AccessLogFilter, HeaderMatcher, HeaderValueOption, SubstitutionFormat } from './envoy-types.ts';
import { reasonHeader, refusalReason, toldReason } from './refusal-reason.ts';
import { traceHeader } from './trace-telling.ts';

/** The text `to`, with groups of `pattern` in it, or `otherwise`. `when`: that there is a `text` at all. */
function extract(when: string, text: string, pattern: string, to: string, otherwise: string): string {
  return `%CEL(${when} && ${text}.matches('${pattern}') ? re.extract(${text}, '${pattern}', ${to}) : '${otherwise}')%`;
}

interface Caller {
  /** `namespace/serviceaccount`, in a sentence. */
  readonly name: string;
  /** The same for `tulle explain`. */
  readonly asked: string;
}

const account = '^spiffe://[^/]+/ns/([^/]+)/sa/([^/]+)$';

function toPeerName(otherwise: string): string {
  const uri = 'connection.uri_san_peer_certificate';
  return extract('connection.mtls', uri, account, String.raw`'\\1/\\2'`, otherwise);
}

/** By its certificate. */
const peer: Caller = { name: toPeerName('unknown'), asked: toPeerName('-') };

/** Own name of a client: the launcher of Envoy sets it. */
const own: Caller = { name: '%ENVIRONMENT(TULLE_SOURCE)%', asked: '%ENVIRONMENT(TULLE_SOURCE)%' };

const w3c = "request.headers['traceparent']";

/** Other sidecars have always written it. With a recorded trace, the call can be asked about and allowed by name. */
const peerTrace = extract(
  `'traceparent' in request.headers`,
  w3c,
  '^[0-9a-f]+-([0-9a-f]+)-[0-9a-f]+-[0-9a-f]+$',
  String.raw`${w3c}.matches('[13579bdf]$') ? 'trace \\1: tulle suggest --trace \\1' : 'trace \\1'`,
  'trace -',
);

const service = '%METADATA(ROUTE:tulle:service)%';
const details = '%RESPONSE_CODE_DETAILS%';
const request = '%REQ(:METHOD)% %REQ(:PATH)%';
/** In a command: what is pasted must not run what a caller wrote. A method may be any token, a path may hold quotes. */
const safeMethod = "%CEL(request.method.matches('^[A-Z-]+$') ? request.method : '-')%";
const quotedPath = `'%CEL(request.path.contains("'") ? '/...' : request.path)%'`;

/**
 * As the Node sidecar says it (pkg/sidecar/denial.ts). Envoy does not know its own trace where it writes an answer: routes
 * that refuse write it down before (trace-telling.ts); for others the caller's stands in, and `-` where none came.
 */
function toDenialText(why: string, { name, asked }: Caller, trace: string): SubstitutionFormat {
  const ask = `tulle explain ${asked} ${service} ${safeMethod} ${quotedPath}`;
  const text = `tulle: ${why}: ${name} -> ${service} ${request}; ask: ${ask}; ${trace}`;
  return toText(`RBAC: access denied\n${text}\n`);
}

function toText(text: string): SubstitutionFormat {
  return {
    text_format_source: { inline_string: text },
    content_type: 'text/plain',
  };
}

function toReasonHeader(value: string): readonly HeaderValueOption[] {
  return [
    {
      header: { key: reasonHeader, value },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    },
  ];
}

function toStatus(status: number): AccessLogFilter {
  return {
    status_code_filter: {
      comparison: {
        op: 'EQ',
        value: { default_value: status, runtime_key: 'tulle.unused' },
      },
    },
  };
}

const unavailable: Omit<ResponseMapper, 'filter'> = {
  status_code: 503,
  body_format_override: toText(`tulle: Unavailable: ${details}\n`),
  headers_to_add: toReasonHeader('Unavailable'),
};

/** No route: for a target like `*`, whatever the policy says. A mesh never answers 404 by itself (DECISIONS S11). */
const badTarget: ResponseMapper = {
  filter: {
    and_filter: {
      filters: [
        { response_flag_filter: { flags: ['NR'] } },
        { header_filter: { header: { name: ':path', string_match: { prefix: '/' }, invert_match: true } } },
      ],
    },
  },
  status_code: 400,
  body_format_override: toText('tulle: BadRequest: the target of a request begins with a slash\n'),
  headers_to_add: toReasonHeader('BadRequest'),
};

/** An address whose Service has just gone. */
const noRoute: ResponseMapper = { filter: { response_flag_filter: { flags: ['NR'] } }, ...unavailable };

const refusal: Omit<ResponseMapper, 'filter'> = {
  status_code: 403,
  body_format_override: toDenialText('SourceNotAllowed', own, `trace %REQ(${traceHeader}?traceparent)%`),
  headers_to_add: toReasonHeader('SourceNotAllowed'),
};

/** What the server's sidecar answers by itself (DECISIONS S11, E4). */
export const inboundReplies = toReplies({
  filter: toStatus(403),
  body_format_override: toDenialText(toldReason, peer, peerTrace),
  headers_to_add: toReasonHeader(refusalReason),
});

/** What the client's sidecar answers by itself. No cluster: the routes are older than a revocation. */
export const outboundReplies = toReplies(
  { filter: toStatus(403), ...refusal },
  { filter: { response_flag_filter: { flags: ['NC'] } }, ...refusal },
);

const asksForSecret: Omit<ResponseMapper, 'filter'> = {
  status_code: 407,
  body_format_override: toText('tulle: ProxyAuthRequired: this proxy is for one workload, and asks for its secret\n'),
  headers_to_add: [
    ...toReasonHeader('ProxyAuthRequired'),
    { header: { key: 'proxy-authenticate', value: 'Basic realm="tulle"' } },
  ],
};

/** The explicit proxy answers for itself, to those who lack its secret, and for Services that its client may not reach. */
export function toProxyReplies(secret: HeaderMatcher | undefined): LocalReplyConfig {
  const strangers = secret && {
    filter: {
      and_filter: { filters: [toStatus(403), { header_filter: { header: { ...secret, invert_match: true } } }] },
    },
    ...asksForSecret,
  };
  return toReplies(...(strangers ? [strangers] : []), { filter: toStatus(403), ...refusal });
}

function toReplies(...mappers: readonly ResponseMapper[]): LocalReplyConfig {
  return {
    mappers: [...mappers, badTarget, noRoute, { filter: toStatus(503), ...unavailable }],
    body_format: toText(`tulle: ${details}\n`),
  };
}
