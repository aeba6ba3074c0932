import type { Logger } from '../observability/logger.ts';
import type { RedirectConfig } from './config.ts';
import type { DataPlane } from './data-plane.ts';
import { runDnsServer } from './dns-server.ts';
import { existsOutside, toOutsideUpstream } from './egress-client.ts';
import { createNameAnswers } from './name-answers.ts';
import { runOutsideListener } from './outside-listener.ts';
import { createOutsideNames } from './outside-names.ts';
import type { PolicyStore } from './policy-store.ts';
import type { OutsidePorts } from './redirect.ts';
import { ruleEgress } from './rule-egress.ts';
import { forwardTcp } from './tcp-forward.ts';
import type { Limits } from './exchange.ts';

type OutsideConfig = NonNullable<RedirectConfig['outside']>;

export interface OutsideTrafficOptions {
  readonly outside: OutsideConfig;
  readonly store: PolicyStore;
  readonly data: DataPlane;
  readonly limits: Limits;
  readonly logger: Logger;
  /** Names of the mesh, in the form of hosts(5). */
  readonly hosts: () => string;
}

export interface OutsideTraffic {
  readonly ports: OutsidePorts;
  close(): void;
}

/** Gives the apps of an isolated pod names and a way for what isn't of the mesh (DECISIONS L2), as far as policy allows. */
export async function runOutsideTraffic(options: OutsideTrafficOptions): Promise<OutsideTraffic> {
  const { outside, store, data, limits, logger, hosts } = options;
  const names = createOutsideNames();
  const { socket } = outside;
  const note = createRefusalLog(logger);
  const refused = (host: string, port: number): void => {
    if (store.settings?.egress !== 'allow') note(host, port);
  };

  let namespaces: ReadonlySet<string> | undefined;
  let addresses: ReadonlySet<string> | undefined;
  store.subscribe((part) => {
    if (part === 'directory') namespaces = addresses = undefined;
  });
  const dns = await runDnsServer(
    createNameAnswers({
      hosts,
      namespaces: () => (namespaces ??= new Set([...store.directory.values()].map(({ namespace }) => namespace))),
      outside: names,
      ...(socket === undefined ? {} : { exists: (name) => existsOutside(socket, name) }),
    }),
  );
  const listener = await runOutsideListener({
    limits,
    names,
    isOfMesh: (ip) => (addresses ??= toAddresses(store)).has(ip),
    acceptHttp(host, port, version, client) {
      refused(host, port);
      data.outbound.frontend.accept(client, version, data.egressSite(host, port), {});
    },
    acceptTcp(host, port, client) {
      refused(host, port);
      const upstream = toOutsideUpstream(outside, host, port);
      void forwardTcp(data.outboundTcp, client, ruleEgress(store, host, port, 'tcp', upstream));
    },
  });
  return {
    ports: { tcp: listener.port, dnsUdp: dns.udpPort, dnsTcp: dns.tcpPort, inside: outside.inside },
    close() {
      dns.close();
      listener.close();
    },
  };
}

function toAddresses(store: PolicyStore): ReadonlySet<string> {
  const entries = [...store.directory.values()];
  return new Set(entries.flatMap(({ addresses, pods = [] }) => [...addresses, ...pods.map(({ ip }) => ip)]));
}

const maxNoted = 256;

/** One line per place, and not one per call: an app asks again and again. */
function createRefusalLog(logger: Logger): (host: string, port: number) => void {
  const noted = new Set<string>();
  return (host, port) => {
    const place = `${host}:${port}`;
    if (noted.has(place) || noted.size >= maxNoted) return;
    noted.add(place);
    logger.warn('EgressDenied: a call to a host outside of the mesh; tulle up --egress allow lets it pass', { place });
  };
}
