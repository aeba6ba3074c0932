import { toSoleRoute } from './call.ts';
import type { Call, Ruling } from './call.ts';
import { toNoPolicyAnswer } from './denial.ts';
import { toSourceName } from './peer-identity.ts';
import type { PolicyStore } from './policy-store.ts';
import type { Upstream } from './upstream.ts';

/** The namespace of what is not of the mesh, in spans and counts: `*` is no name that a namespace could have. */
export const outsideNamespace = '*';

const loopback = /^(?:localhost|127(?:\.[0-9]{1,3}){3}|::1)$/;

/** What the mesh says of a call to a host outside of it (MeshSettings `egress`). The own machine is never outside. */
export function ruleEgress(
  store: PolicyStore,
  host: string,
  port: number,
  protocol: Call['protocol'],
  upstream: Upstream,
): Ruling {
  const call: Call = {
    direction: 'outbound',
    protocol,
    source: toSourceName(store.inbound?.identity),
    service: `${outsideNamespace}/${host}:${port}`,
    verdict: 'allowed',
  };
  const local = loopback.test(host);
  if (!store.ready && !local) {
    call.verdict = 'denied';
    call.reason = 'NoPolicy';
    return { kind: 'answer', call, answer: toNoPolicyAnswer() };
  }
  const allowed = (): boolean => local || store.settings?.egress === 'allow';
  if (!allowed()) {
    call.verdict = 'denied';
    call.reason = 'EgressDenied';
    const body = `RBAC: access denied\ntulle: EgressDenied: ${host}:${port} is not of the mesh, and egress is off; tulle up --egress allow lets it pass\n`;
    return {
      kind: 'answer',
      call,
      answer: { status: 403, reason: 'EgressDenied', body },
    };
  }
  let attempts = 0;
  return {
    kind: 'forward',
    call,
    next: () => (attempts++ < 2 ? toSoleRoute(upstream, true) : undefined),
    stillAllowed: allowed,
  };
}
