import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ProxyConfig, SidecarConfig } from './config.ts';
import type { DataPlane } from './data-plane.ts';
import type { HttpSite, Limits } from './exchange.ts';
import { endWith, runForwardProxy } from './forward-proxy.ts';
import type { ForwardProxy } from './forward-proxy.ts';
import { createHostIndex } from './host-index.ts';
import type { HostIndex } from './host-index.ts';
import { forwardHttp1 } from './http1-forward.ts';
import { upgradeHttp1 } from './http1-upgrade.ts';
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
  const [namespace = ''] = config.pod.split('/');
  let index: HostIndex | undefined;
  store.subscribe((part) => {
    if (part === 'directory') index = undefined;
  });
  const forward = (site: HttpSite, req: IncomingMessage, res: ServerResponse): void => forwardHttp1(site, req, res, {});

  return runForwardProxy({
    port,
    secret,
    limits,
    hosts: () => (index ??= createHostIndex(store.directory, namespace)),
    onRequest: (target, req, res) => forward(outboundOptions.site(target), req, res),
    onOutsideRequest: (host, outsidePort, req, res) => forward(data.egressSite(host, outsidePort), req, res),
    onTunnel: (target, socket) => acceptOutbound(outboundOptions, target, socket),
    onOutsideTunnel: (host, outsidePort, socket: Socket, established) => {
      const upstream = toPlainUpstream(host, outsidePort);
      const ruling = ruleEgress(store, host, outsidePort, 'tcp', upstream);
      if (ruling.kind === 'answer') endWith(socket, ruling.answer);
      else established();
      void forwardTcp(outboundTcp, socket, ruling, {
        keepOpen: ruling.kind === 'answer',
      });
    },
    onUpgrade: (target, req, socket, head) => {
      const site = outboundOptions.site(target);
      const again = (): void => outbound.frontend.accept(socket, 'http/1.1', site, {});
      upgradeHttp1({
        site,
        peer: {},
        tunnels: outbound.tunnels,
        req,
        socket,
        head,
        again,
      });
    },
  });
}
