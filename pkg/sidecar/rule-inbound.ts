import { decideInbound } from '../policy/decide.ts';
import type { InboundVerdict } from '../policy/decide.ts';
import type { InboundPolicy } from '../policy/inbound.ts';
import type { HttpRequest } from '../policy/match.ts';
import { toSoleRoute } from './call.ts';
import type { Call, Ruling } from './call.ts';
import { toDenial, toNoPolicyAnswer } from './denial.ts';
import { toSourceName } from './peer-identity.ts';
import type { Peer } from './peer-identity.ts';
import type { PolicyStore } from './policy-store.ts';
import type { Upstream } from './upstream.ts';

export interface InboundRules {
  readonly store: PolicyStore;
  /** The app behind one of the workload's ports. */
  readonly app: (port: number) => Upstream;
}

/** What the server's side says of a call to one of the workload's ports. `request` is absent for TCP. */
export function ruleInbound({ store, app }: InboundRules, port: number, peer: Peer, request?: HttpRequest): Ruling {
  const policy = store.inbound;
  const known = policy?.ports.find((candidate) => candidate.port === port);
  const source = toSourceName(peer.identity);
  const call: Call = {
    direction: 'inbound',
    protocol: known?.protocol ?? 'tcp',
    source,
    service: `${known?.services[0] ?? 'unknown/unknown'}:${port}`,
    verdict: 'denied',
  };
  if (!policy) {
    call.reason = 'NoPolicy';
    return { kind: 'answer', call, answer: toNoPolicyAnswer() };
  }
  call.destination = toSourceName(policy.identity);
  call.mode = policy.mode;
  const verdict = decide(policy, port, peer, request);
  if (verdict.rule) call.rule = `${verdict.rule.namespace}/${verdict.rule.name}`;
  if (verdict.reason !== undefined) call.reason = verdict.reason;
  if (verdict.shadowRules) call.shadow = verdict.shadowRules.map(({ namespace, name }) => `${namespace}/${name}`);
  if (!verdict.allowed) {
    const answer = toDenial(verdict.reason ?? 'NoTarget', {
      source,
      service: call.service,
      ...request,
    });
    return { kind: 'answer', call, answer };
  }
  call.verdict = verdict.reason === undefined ? 'allowed' : 'would-deny';
  const upstream = app(port);
  let attempts = 0;
  return {
    kind: 'forward',
    call,
    // One app, so a second attempt is for a kept-alive connection that it had closed.
    next: () => (attempts++ < 2 ? toSoleRoute(upstream, true) : undefined),
    stillAllowed: () => store.inbound !== undefined && decide(store.inbound, port, peer, request).allowed,
  };
}

function decide(policy: InboundPolicy, port: number, { identity }: Peer, request?: HttpRequest): InboundVerdict {
  return decideInbound(policy, {
    port,
    ...(identity === undefined ? {} : { source: identity }),
    ...(request === undefined ? {} : { request }),
  });
}
