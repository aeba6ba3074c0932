import type { Socket } from 'node:net';
import type { RequestHead } from '../http1/head.ts';
import type { ProxyConfig, SidecarConfig } from './config.ts';
import type { DataPlane } from './data-plane.ts';
import type { HttpSite, Limits } from './exchange.ts';
import { runForwardProxy } from './forward-proxy.ts';
import type { ForwardProxy, Http1Answer } from './forward-proxy.ts';
import { createHostIndex } from './host-index.ts';
import type { HostIndex } from './host-index.ts';
import { answerHttp1, countMalformed } from './http1-handler.ts';
import { acceptOutbound } from './outbound-listener.ts';
import type { PolicyStore } from './policy-store.ts';
import { ruleEgress } from './rule-egress.ts';
import { forwardTcp } from './tcp-forward.ts';
import { toPlainUpstream } from './upstream.ts';

/** The forward proxy of a workload, joined to its policy. */
export function createForwardProxy(
  config: SidecarConfig,
  { port, secret }: ProxyConfig,
  store: PolicyStore,
  data: DataPlane,
  limits: Limits,
): Promise<ForwardProxy> {
  const { outboundOptions, outbound, outboundTcp } = data;
  const { recorder } = outboundTcp;
  const [namespace = ''] = config.pod.split('/');
  let index: HostIndex | undefined;
  store.subscribe((part) => {
    if (part === 'directory') index = undefined;
  });
  const answer = (site: HttpSite, head: RequestHead, socket: Socket): Http1Answer =>
    answerHttp1(site, { socket, peer: {}, tunnels: outbound.tunnels }, head);

  return runForwardProxy({
    port,
    secret,
    limits,
    hosts: () => (index ??= createHostIndex(store.directory, namespace)),
    accept(socket, handler) {
      socket.once('close', recorder.connection('outbound', 'http1'));
      outbound.frontend.acceptHttp1(socket, handler);
    },
    onRequest: (target, head, socket) => answer(outboundOptions.site(target), head, socket),
    onOutsideRequest: (host, outsidePort, head, socket) => answer(data.egressSite(host, outsidePort), head, socket),
    onTunnel: (target, socket) => acceptOutbound(outboundOptions, target, socket),
    onOutsideTunnel(host, outsidePort) {
      const ruling = ruleEgress(store, host, outsidePort, 'tcp', toPlainUpstream(host, outsidePort));
      if (ruling.kind === 'forward') return (socket) => void forwardTcp(outboundTcp, socket, ruling);
      recorder.end({ call: ruling.call, trace: recorder.trace({}), startedAt: recorder.now() });
      return ruling.answer;
    },
    onRefused: (reason, status) => countMalformed(recorder, 'outbound', reason, status),
    draining: () => outbound.draining,
  });
}
