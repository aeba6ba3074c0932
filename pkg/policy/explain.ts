import { covers, coversPort, decideInbound, type InboundCall, type InboundVerdict } from './decide.ts';
import type { AccessRule, InboundPolicy } from './inbound.ts';
import { type MatchReport, matches, reportMatch } from './matches.ts';

/** One rule, and which of its conditions held for a call. */
export interface RuleReport {
  readonly rule: AccessRule;
  /** It would let the call pass; a shadow rule never does. */
  readonly held: boolean;
  readonly source: boolean;
  readonly port: boolean;
  /** Absent: the rule asks nothing of HTTP. */
  readonly http?: { readonly held: boolean; readonly matches: readonly MatchReport[] };
}

export interface InboundReport {
  readonly verdict: InboundVerdict;
  /** False: the port is none that a Service leads to. */
  readonly portKnown: boolean;
  /** In the policy's order. */
  readonly rules: readonly RuleReport[];
}

/** The verdict of `decideInbound`, and every rule with each of its conditions: for `explain`. */
export function explainInbound(policy: InboundPolicy, call: InboundCall): InboundReport {
  return {
    verdict: decideInbound(policy, call),
    portKnown: policy.ports.some(({ port }) => port === call.port),
    rules: policy.rules.map((rule) => reportRule(rule, call)),
  };
}

function reportRule(rule: AccessRule, call: InboundCall): RuleReport {
  const { request } = call;
  const source = call.source !== undefined && rule.sources.includes(call.source);
  return {
    rule,
    held: source && covers(rule, call),
    source,
    port: coversPort(rule, call.port),
    ...(rule.http && {
      http: {
        held: request !== undefined && rule.http.some((match) => matches(match, request)),
        matches: request ? rule.http.map((match) => reportMatch(match, request)) : [],
      },
    }),
  };
}
