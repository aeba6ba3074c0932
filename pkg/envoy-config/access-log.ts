import type { AccessLog, JsonObject } from './envoy-types.ts';
import { rbacKeys, rbacMetadata } from './rbac.ts';

/** One line of JSON on stdout for each request that failed or was refused; what went well is in the traces and stats. */
export const httpAccessLog: readonly AccessLog[] = [
  {
    name: 'envoy.access_loggers.stdout',
    filter: {
      or_filter: {
        filters: [
          toStatusFilter('GE', 500),
          toStatusFilter('EQ', 403),
          toStatusFilter('EQ', 400),
          toStatusFilter('EQ', 0),
        ],
      },
    },
    typed_config: toStdout({
      time: '%START_TIME%',
      method: '%REQ(:METHOD)%',
      path: '%REQ(:PATH)%',
      authority: '%REQ(:AUTHORITY)%',
      protocol: '%PROTOCOL%',
      status: '%RESPONSE_CODE%',
      details: '%RESPONSE_CODE_DETAILS%',
      flags: '%RESPONSE_FLAGS%',
      duration_ms: '%DURATION%',
      peer: '%DOWNSTREAM_PEER_URI_SAN%',
      upstream: '%UPSTREAM_HOST%',
      cluster: '%UPSTREAM_CLUSTER%',
      failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
      rule: `%DYNAMIC_METADATA(${rbacMetadata}:${rbacKeys.rule})%`,
      reason: `%DYNAMIC_METADATA(${rbacMetadata}:${rbacKeys.reason})%`,
      trace: '%TRACE_ID%',
    }),
  },
];

/** One line for each TCP connection. */
export const tcpAccessLog: readonly AccessLog[] = [
  {
    name: 'envoy.access_loggers.stdout',
    typed_config: toStdout({
      time: '%START_TIME%',
      duration_ms: '%DURATION%',
      flags: '%RESPONSE_FLAGS%',
      details: '%CONNECTION_TERMINATION_DETAILS%',
      received: '%BYTES_RECEIVED%',
      sent: '%BYTES_SENT%',
      peer: '%DOWNSTREAM_PEER_URI_SAN%',
      upstream: '%UPSTREAM_HOST%',
      cluster: '%UPSTREAM_CLUSTER%',
      failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
    }),
  },
];

function toStatusFilter(
  op: 'GE' | 'EQ',
  status: number,
): {
  status_code_filter: {
    comparison: {
      op: 'GE' | 'EQ';
      value: { default_value: number; runtime_key: string };
    };
  };
} {
  return {
    status_code_filter: {
      comparison: {
        op,
        value: { default_value: status, runtime_key: 'tulle.unused' },
      },
    },
  };
}

function toStdout(fields: JsonObject): AccessLog['typed_config'] {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
    log_format: { json_format: fields, omit_empty_values: true },
  };
}
