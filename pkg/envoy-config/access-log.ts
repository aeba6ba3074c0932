import type { AccessLog, JsonObject } from './envoy-types.ts';
import { toldReason } from './refusal-reason.ts';

/** One line of JSON on stdout for each request that failed or was refused; what went well is in the traces and stats. */
export function toHttpAccessLog(direction: 'inbound' | 'outbound'): AccessLog {
  return {
    name: 'envoy.access_loggers.stdout',
    filter: {
      or_filter: { filters: [toStatusFilter('GE', 500), toStatusFilter('EQ', 403), toStatusFilter('EQ', 400)] },
    },
    typed_config: toStdout({
      time: '%START_TIME%',
      method: '%REQ(:METHOD)%',
      authority: '%REQ(:AUTHORITY)%',
      path: '%REQ(:PATH)%',
      status: '%RESPONSE_CODE%',
      details: '%RESPONSE_CODE_DETAILS%',
      flags: '%RESPONSE_FLAGS%',
      duration_ms: '%DURATION%',
      trace: '%TRACE_ID%',
      ...(direction === 'inbound'
        ? { peer: '%DOWNSTREAM_PEER_URI_SAN%', reason: toldReason }
        : {
            cluster: '%UPSTREAM_CLUSTER%',
            upstream: '%UPSTREAM_HOST%',
            failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
          }),
    }),
  };
}

const failure = 'connection.transport_failure_reason';

/** Whom the handshake let in: it refuses everyone whom no rule names (inbound-listener.ts). No failure, no reason. */
const handshaken: JsonObject = {
  verdict: `%CEL(has(${failure}) ? 'denied' : 'allowed')%`,
  reason: `%CEL(${failure}.contains('SAN matcher') ? 'SourceNotAllowed' : 'PlaintextRefused')%`,
};

/** What is known of a TCP connection before it comes. */
export interface ConnectionFacts {
  readonly direction: 'inbound' | 'outbound';
  /** `namespace/name:port`; empty where only the address that was dialled says it. */
  readonly service: string;
  readonly split?: string;
  readonly verdict: 'allowed' | 'denied';
  readonly reason?: string;
  readonly mode?: string;
}

/**
 * One line when a TCP connection reaches its peer and one when it ends: Envoy makes no spans of these. On a laptop the program beside Envoy
 * makes them of these lines (pkg/local/envoy/connection-spans.ts), so the names are those of the spans' attributes.
 */
export function toTcpAccessLog({ direction, service, split, verdict, reason, mode }: ConnectionFacts): AccessLog {
  return {
    name: 'envoy.access_loggers.stdout',
    typed_config: toStdout({
      kind: 'tcp',
      event: '%ACCESS_LOG_TYPE%',
      connection: '%CONNECTION_ID%',
      time: '%START_TIME%',
      duration_ms: '%DURATION%',
      flags: '%RESPONSE_FLAGS%',
      details: '%CONNECTION_TERMINATION_DETAILS%',
      received: '%BYTES_RECEIVED%',
      sent: '%BYTES_SENT%',
      dialled: '%DOWNSTREAM_LOCAL_ADDRESS%',
      peer: '%DOWNSTREAM_PEER_URI_SAN%',
      upstream: '%UPSTREAM_HOST%',
      failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
      direction,
      service,
      split: split ?? null,
      verdict,
      reason: reason ?? null,
      mode: mode ?? null,
      ...(direction === 'inbound' ? { handshake: '%DOWNSTREAM_TRANSPORT_FAILURE_REASON%' } : {}),
      ...(direction === 'inbound' && verdict === 'allowed' ? handshaken : {}),
      ...(direction === 'outbound'
        ? {
            backend: '%UPSTREAM_METADATA(tulle:backend)%',
            destination: '%UPSTREAM_METADATA(tulle:destination)%',
            pod: '%UPSTREAM_METADATA(tulle:pod)%',
          }
        : {}),
    }),
  };
}

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
