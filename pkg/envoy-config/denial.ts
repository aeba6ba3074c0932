import type { AccessLogFilter, HeaderValueOption, SubstitutionFormat } from './envoy-types.ts';
import type { LocalReplyConfig, ResponseMapper } from './envoy-http-types.ts';
import { rbacKeys, rbacMetadata } from './rbac.ts';
import { traceHeader } from './trace-telling.ts';

/** The caller by its certificate: older Envoys can't cut the account out of it. `-` for one without. */
const peerName = '%DOWNSTREAM_PEER_URI_SAN%';

/** Own name of a client: the launcher of Envoy sets it. */
const ownName = '%ENVIRONMENT(TULLE_SOURCE)%';

const reason = `%DYNAMIC_METADATA(${rbacMetadata}:${rbacKeys.reason})%`;
const service = '%METADATA(ROUTE:tulle:service)%';
const details = '%RESPONSE_CODE_DETAILS%';
const request = '%REQ(:METHOD)% %REQ(:PATH)%';

/**
 * Nearly as the Node sidecar says it (pkg/sidecar/denial.ts). Envoy does not know its own trace where it writes an answer:
 * routes that refuse write it down before (trace-telling.ts); for others the caller's stands in, and `-` where none came.
 */
function toDenialText(why: string, source: string, trace: string): SubstitutionFormat {
  const ask = `tulle explain ${source} ${service} %REQ(:METHOD)% '%REQ(:PATH)%'`;
  const text = `tulle: ${why}: ${source} -> ${service} ${request}; ask: ${ask}; ${trace}`;
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
      header: { key: 'x-tulle-reason', value },
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
  body_format_override: toDenialText('SourceNotAllowed', ownName, `trace %REQ(${traceHeader}?traceparent)%`),
  headers_to_add: toReasonHeader('SourceNotAllowed'),
};

/** What the server's sidecar answers by itself (DECISIONS S11, E4). */
export const inboundReplies = toReplies({
  filter: toStatus(403),
  body_format_override: toDenialText(reason, peerName, 'traceparent %REQ(traceparent)%'),
  headers_to_add: toReasonHeader(reason),
});

/** What the client's sidecar answers by itself. No cluster: the routes are older than a revocation. */
export const outboundReplies = toReplies(
  { filter: toStatus(403), ...refusal },
  { filter: { response_flag_filter: { flags: ['NC'] } }, ...refusal },
);

/** The explicit proxy answers for itself, and for Services that its client may not reach. */
export const proxyReplies = toReplies(
  {
    filter: {
      metadata_filter: {
        matcher: {
          filter: rbacMetadata,
          path: [{ key: rbacKeys.reason }],
          value: { string_match: { exact: 'ProxyAuthRequired' } },
        },
        match_if_key_not_found: false,
      },
    },
    status_code: 407,
    body_format_override: toText('tulle: ProxyAuthRequired: this proxy is for one workload, and asks for its secret\n'),
    headers_to_add: [
      ...toReasonHeader('ProxyAuthRequired'),
      { header: { key: 'proxy-authenticate', value: 'Basic realm="tulle"' } },
    ],
  },
  { filter: toStatus(403), ...refusal },
);

function toReplies(...mappers: readonly ResponseMapper[]): LocalReplyConfig {
  return {
    mappers: [...mappers, badTarget, noRoute, { filter: toStatus(503), ...unavailable }],
    body_format: toText(`tulle: ${details}\n`),
  };
}
