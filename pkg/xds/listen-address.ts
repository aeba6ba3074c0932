import type { AddressInfo, ListenOptions } from 'node:net';

/** `unix:/run/x/xds.sock`, `127.0.0.1:0`, `[::]:15128`: an address as gRPC writes it. */
export function toListenOptions(address: string): ListenOptions {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) };
  const [, host = '', port = ''] = /^(.+):(\d+)$/.exec(address) ?? [];
  if (host === '') throw new Error(`not an address to listen at: ${address}`);
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** 1 for a socket, as gRPC has it. */
export function toPort(address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 1;
}
