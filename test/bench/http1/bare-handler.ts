import type { Handler, LocalReply } from '../../../pkg/http1/proxy/handler.ts';
import type { Secrets } from '../../../pkg/sidecar/secrets.ts';
import { toEndpointUpstream, toPlainUpstream } from '../../../pkg/sidecar/upstream.ts';
import { appPort, serverIdentity } from './setup.ts';
import type { ProxySetup } from './setup.ts';

/** Sends everything on as it is. */
export function toBareHandler({ side, between, app }: ProxySetup, secrets: Secrets): Handler {
  const endpoint = {
    address: { kind: 'pipe', path: between },
    pod: 'x/y',
    identity: serverIdentity,
    meshed: true,
    ready: true,
    port: appPort,
  } as Parameters<typeof toEndpointUpstream>[0];
  const upstream =
    side === 'outbound'
      ? toEndpointUpstream(endpoint, 'peer', 'peer', () => secrets.material)
      : toPlainUpstream('127.0.0.1', app);
  const nothing = (): void => undefined;
  const route = {
    upstream,
    failed: nothing,
    succeeded: nothing,
    done: nothing,
  };
  const next = (): typeof route => route;
  const reply: LocalReply = { kind: 'reply', status: 503, lines: '', body: '' };
  const edits = {};
  return {
    onRequest: () => ({
      kind: 'forward',
      edits,
      next,
      onResponse: () => edits,
      onFailure: () => reply,
      onSwitch: nothing,
      onEnd: nothing,
    }),
    onRefused: (_reason, status) => ({ ...reply, status }),
    draining: () => false,
  };
}
