import { decideOutbound, outOfReach, pickBackend } from '../policy/decide.ts';
import type { Endpoint } from '../policy/endpoints.ts';
import type { AppProtocol } from '../policy/inbound.ts';
import type { HttpRequest } from '../policy/match.ts';
import type { OutboundService, ServicePortKey, WeightedBackend } from '../policy/outbound.ts';
import { toSoleRoute } from './call.ts';
import type { Call, Route, Ruling } from './call.ts';
import { toDenial, toNoPolicyAnswer, toUnavailable } from './denial.ts';
import { toEndpointKey } from './endpoints-balancer.ts';
import type { Balancer } from './endpoints-balancer.ts';
import { toSourceName } from './peer-identity.ts';
import type { PolicyStore } from './policy-store.ts';
import type { Secrets } from './secrets.ts';
import type { EndpointUpstreams } from './upstream.ts';

export interface OutboundRules {
  readonly store: PolicyStore;
  readonly secrets: Secrets;
  readonly balancer: Balancer;
  readonly upstreamOf: EndpointUpstreams;
  /** 0 ≤ x < 1. Draws the backend by its share. */
  readonly random: () => number;
}

/** What the client's side says of a call to a Service port of the mesh. `request` is absent for TCP. */
export function ruleOutbound(
  rules: OutboundRules,
  key: ServicePortKey,
  protocol: AppProtocol,
  request?: HttpRequest,
  podIp?: string,
): Ruling {
  const { store, secrets } = rules;
  const service = store.outbound.get(key);
  const source = toSourceName(store.inbound?.identity ?? secrets.material?.identity);
  const call: Call = {
    direction: 'outbound',
    protocol,
    source,
    service: key,
    verdict: 'allowed',
  };
  if (!service) {
    call.verdict = 'denied';
    call.reason = store.ready ? outOfReach : 'NoPolicy';
    const answer = store.ready ? toDenial(outOfReach, { source, service: key, ...request }) : toNoPolicyAnswer();
    return { kind: 'answer', call, answer };
  }
  if (podIp !== undefined) return rulePod(rules, service, call, podIp, request);
  const decision = decideOutbound(service, request);
  if (decision.origin?.kind === 'TrafficSplit') call.split = `${decision.origin.namespace}/${decision.origin.name}`;
  const backend = pickBackend(decision, rules.random());
  if (!backend) return unavailable(call, 'no backend with a weight is left');
  call.backend = backend.service;
  const tried = new Set<string>();
  return {
    kind: 'forward',
    call,
    next: () => nextRoute(rules, backend, call, `${service.name}.${service.namespace}`, tried),
    stillAllowed: () => store.outbound.has(key),
  };
}

/** A pod that was dialled by its own address: no split and no choice, but who may be reached holds as well. */
function rulePod(
  rules: OutboundRules,
  service: OutboundService,
  call: Call,
  podIp: string,
  request: HttpRequest | undefined,
): Ruling {
  const { store, upstreamOf } = rules;
  const find = (): Endpoint | undefined => {
    const current = store.outbound.get(service.key);
    for (const route of current?.routes ?? []) {
      for (const { endpoints } of route.backends) {
        const found = store.endpoints.get(endpoints)?.endpoints.find(({ ip }) => ip === podIp);
        if (found) return found;
      }
    }
    return undefined;
  };
  const endpoint = find();
  if (!endpoint) {
    call.verdict = 'denied';
    call.reason = outOfReach;
    const answer = toDenial(outOfReach, {
      source: call.source,
      service: service.key,
      ...request,
    });
    return { kind: 'answer', call, answer };
  }
  call.backend = service.name;
  if (!endpoint.ready) return unavailable(call, `pod ${endpoint.pod} is not ready`);
  call.pod = endpoint.pod;
  call.destination = toSourceName(endpoint.identity);
  const servername = `${service.name}.${service.namespace}`;
  const upstream = upstreamOf(endpoint, toEndpointKey(endpoint), servername);
  let attempts = 0;
  return {
    kind: 'forward',
    call,
    next: () => (attempts++ < 2 ? toSoleRoute(upstream, !endpoint.meshed) : undefined),
    stillAllowed: () => find() !== undefined,
  };
}

function unavailable(call: Call, why: string): Ruling {
  call.reason = 'Unavailable';
  return { kind: 'answer', call, answer: toUnavailable(why) };
}

function nextRoute(
  { store, balancer, upstreamOf }: OutboundRules,
  backend: WeightedBackend,
  call: Call,
  servername: string,
  tried: Set<string>,
): Route | undefined {
  const set = store.endpoints.get(backend.endpoints);
  // All were tried: once more, since what failed may have been one kept-alive connection.
  const lease = set && (balancer.pick(set, tried) ?? balancer.pick(set));
  if (!lease) return undefined;
  const { endpoint } = lease;
  tried.add(lease.key);
  call.pod = endpoint.pod;
  call.destination = toSourceName(endpoint.identity);
  const { failed, succeeded, done } = lease;
  const upstream = upstreamOf(endpoint, lease.key, servername);
  return { upstream, fromApp: !endpoint.meshed, failed, succeeded, done };
}
