import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { AppProtocol } from '../policy/inbound.ts';
import type { ServicePortKey } from '../policy/outbound.ts';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import type { Ruling } from './call.ts';
import type { HttpSite, Limits } from './exchange.ts';
import { isHttp2Preface, peek, tellsHttpVersion } from './first-bytes.ts';
import type { HttpFrontend } from './http-frontend.ts';
import { forwardTcp } from './tcp-forward.ts';
import type { TcpSite } from './tcp-forward.ts';

/** A place that apps call, and the Service port that it stands for. */
export interface OutboundTarget {
  /** What apps dial: `10.96.0.1:80`; in proxy mode the key, since there is no address to dial. */
  readonly address: string;
  readonly key: ServicePortKey;
  readonly protocol: AppProtocol;
  /** A pod's own address: the call goes to this endpoint and no other (headless Services). */
  readonly podIp?: string;
}

export interface OutboundOptions {
  readonly frontend: HttpFrontend;
  readonly tcp: TcpSite;
  readonly limits: Limits;
  readonly site: (target: OutboundTarget) => HttpSite;
  readonly rule: (target: OutboundTarget) => Ruling;
  /** A port that somebody was told of already; absent: any that is free. */
  readonly fixedPort?: (target: OutboundTarget) => number | undefined;
}

/** One loopback port for each place that apps call: Node can't ask where a redirected connection wanted to go. */
export interface OutboundListeners {
  /** Opens and closes ports so that they are these targets. Resolves when all of them listen. */
  sync(targets: readonly OutboundTarget[]): Promise<void>;
  list(): readonly OutboundListener[];
  stop(): void;
}

export interface OutboundListener extends OutboundTarget {
  /** On 127.0.0.1. */
  readonly port: number;
}

interface Entry {
  target: OutboundTarget;
  readonly server: Server;
  readonly listening: Promise<void>;
  port: number;
}

export function createOutboundListeners(options: OutboundOptions): OutboundListeners {
  const open = new Map<string, Entry>();
  let stopped = false;

  function start(target: OutboundTarget): Entry {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.maxConnections = options.limits.connections;
    const listening = new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        {
          host: '127.0.0.1',
          port: options.fixedPort?.(target) ?? 0,
          backlog: 511,
        },
        () => {
          entry.port = (server.address() as AddressInfo).port;
          resolve();
        },
      );
    });
    const entry: Entry = { target, server, listening, port: 0 };
    server.on('connection', (socket) => acceptOutbound(options, entry.target, socket));
    return entry;
  }

  return {
    async sync(targets) {
      if (stopped) return;
      const wanted = new Map(targets.map((target) => [target.address, target]));
      for (const [address, { server }] of open) {
        if (wanted.has(address)) continue;
        open.delete(address);
        server.close();
      }
      for (const [address, target] of wanted) {
        const entry = open.get(address);
        if (entry) entry.target = target;
        else open.set(address, start(target));
      }
      await Promise.allSettled([...open.values()].map(({ listening }) => listening));
    },
    list: () => [...open.values()].filter(({ port }) => port > 0).map(({ target, port }) => ({ ...target, port })),
    stop() {
      stopped = true;
      for (const { server } of open.values()) server.close();
      open.clear();
    },
  };
}

/** Takes a connection of an app that is meant for `target`. */
export function acceptOutbound(options: OutboundOptions, target: OutboundTarget, socket: Socket): void {
  const { frontend, tcp, limits, site, rule } = options;
  socket.on('error', () => undefined);
  if (target.protocol === 'tcp' || target.protocol === 'tcp-server-first') {
    void forwardTcp(tcp, socket, rule(target));
    return;
  }
  // Protocol by Service port, never by ALPN (DECISIONS E12); which HTTP it is shows in the first bytes.
  peek(socket, limits.headers, tellsHttpVersion, (bytes) => {
    if (socket.destroyed) return;
    if (bytes === undefined) socket.destroy();
    else frontend.accept(socket, isHttp2Preface(bytes) ? 'h2' : 'http/1.1', site(target), {});
  });
}

/** What apps dial in a pod: every virtual address of the directory, and the pods of headless Services by their own. */
export function toRedirectTargets(directory: Iterable<DirectoryEntry>, extraPorts: ExtraPorts): OutboundTarget[] {
  const targets = new Map<string, OutboundTarget>();
  for (const { key, port, protocol, addresses, pods = [] } of directory) {
    for (const ip of addresses)
      targets.set(toAddress(ip, port), {
        address: toAddress(ip, port),
        key,
        protocol,
      });
    for (const { ip } of pods) {
      for (const podPort of new Set([port, ...extraPorts(key, ip)])) {
        const address = toAddress(ip, podPort);
        if (!targets.has(address)) targets.set(address, { address, key, protocol, podIp: ip });
      }
    }
  }
  return [...targets.values()];
}

/** The ports of a pod, behind a headless Service, that differ from the Service's. */
export type ExtraPorts = (key: ServicePortKey, podIp: string) => readonly number[];

/** In proxy mode only TCP needs a port of its own: HTTP goes through the forward proxy. */
export function toProxyTargets(directory: Iterable<DirectoryEntry>): OutboundTarget[] {
  const targets: OutboundTarget[] = [];
  for (const { key, protocol } of directory) {
    if (protocol === 'tcp' || protocol === 'tcp-server-first') targets.push({ address: key, key, protocol });
  }
  return targets;
}

function toAddress(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
