import { lookup, type LookupAddress } from 'node:dns';
import { chmodSync, rmSync } from 'node:fs';
import { BlockList, connect, createServer, isIP, type LookupFunction, type Socket } from 'node:net';
import { decodeEgressRequest, machineName, maxEgressLine, type EgressRequest } from '../sidecar/egress-protocol.ts';
import { join } from './launcher/relay.ts';

/** What apps may reach outside of the mesh. */
export interface EgressWish {
  readonly allow: boolean;
  /** Ports of this machine's loopback that are open to apps, by the name `host.tulle.internal`. */
  readonly loopbackPorts: readonly number[];
}

/** Dials for the sidecar of one isolated pod, which has no network of its own to go out by. */
export interface EgressServer {
  close(): void;
}

/** Finds the addresses of a name; the system's by default. */
export type FindAddresses = (host: string) => Promise<readonly LookupAddress[]>;

export interface EgressOptions extends Pick<EgressWish, 'loopbackPorts'> {
  readonly find?: FindAddresses;
  /** What the user could open was asked for. */
  readonly onRefused?: (why: string) => void;
}

const timeoutMs = 5_000;
const maxConnections = 1_024;

/**
 * Listens on a unix socket that only the pod's sidecar sees. This machine's loopback, and so the mesh's own ports, is
 * no place outside: it is dialled only for ports that the user named.
 */
export async function openEgress(socketPath: string, options: EgressOptions): Promise<EgressServer> {
  const { find = findAddresses } = options;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    open.add(client);
    client.once('close', () => open.delete(client));
    client.on('error', () => client.destroy());
    readRequest(client, (request) => {
      if (!request) refuse(client, 'this is no request');
      else if (request.kind === 'resolve') void resolveName(client, request.host, find);
      else dial(client, request.host, request.port, { ...options, find });
    });
  });
  server.maxConnections = maxConnections;
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  const close = (): void => {
    server.close();
    for (const client of open) client.destroy();
  };
  try {
    chmodSync(socketPath, 0o600);
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

function readRequest(client: Socket, callback: (request: EgressRequest | undefined) => void): void {
  let seen = Buffer.alloc(0);
  const stop = (request: EgressRequest | undefined): void => {
    clearTimeout(timer);
    client.off('readable', look);
    callback(request);
  };
  const timer = setTimeout(() => stop(undefined), timeoutMs);
  client.once('close', () => clearTimeout(timer));
  function look(): void {
    const chunk = client.read() as Buffer | null;
    if (!chunk) return;
    seen = Buffer.concat([seen, chunk]);
    const end = seen.indexOf(10);
    if (end === -1 && seen.length <= maxEgressLine) return;
    if (end !== -1 && end + 1 < seen.length) client.unshift(seen.subarray(end + 1));
    stop(end === -1 || end > maxEgressLine ? undefined : decodeEgressRequest(seen.toString('latin1', 0, end)));
  }
  client.on('readable', look);
}

async function resolveName(client: Socket, host: string, find: FindAddresses): Promise<void> {
  const exists = host === machineName || (await allowed(host, find)).length > 0;
  if (exists) client.end('OK\n');
  else refuse(client, `there is no host ${host}`);
}

function dial(client: Socket, host: string, port: number, options: EgressOptions & { find: FindAddresses }): void {
  const { loopbackPorts, find, onRefused } = options;
  const toMachine = host === machineName;
  if (toMachine && !loopbackPorts.includes(port)) {
    const why = `port ${port} of this machine is not open to the mesh: --egress-loopback ${port}`;
    onRefused?.(why);
    refuse(client, why);
    return;
  }
  if (!toMachine && isIP(host) !== 0 && isOwn(host)) {
    refuse(client, `${host} is no place outside`);
    return;
  }
  const findAllowed: LookupFunction = (name, _options, callback) => {
    void allowed(name, find).then((addresses) => {
      if (addresses.length > 0) callback(null, [...addresses]);
      else callback(Object.assign(new Error(`there is no host ${name}`), { code: 'ENOTFOUND' }), []);
    });
  };
  const outside = connect({
    host: toMachine ? '127.0.0.1' : host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    autoSelectFamily: true,
    lookup: findAllowed,
  });
  const timer = setTimeout(() => outside.destroy(new Error('connect timeout')), timeoutMs);
  const gone = (): void => void outside.destroy();
  client.once('close', gone);
  const failed = (error: Error): void => {
    clearTimeout(timer);
    refuse(client, error.message || 'no connection');
  };
  outside.once('error', failed);
  outside.once('connect', () => {
    clearTimeout(timer);
    client.off('close', gone);
    outside.off('error', failed);
    client.write('OK\n');
    join(client, outside);
  });
}

function refuse(client: Socket, why: string): void {
  client.end(`NO ${why.replace(/[^\x20-\x7e]/g, ' ').slice(0, maxEgressLine - 4)}\n`, () => client.destroy());
}

/** The addresses of a name that are outside; a name that leads to this machine has none. */
async function allowed(host: string, find: FindAddresses): Promise<readonly LookupAddress[]> {
  try {
    return (await find(host)).filter(({ address }) => !isOwn(address));
  } catch {
    return [];
  }
}

function findAddresses(host: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { all: true, verbatim: true }, (error, addresses) => {
      if (error) reject(error);
      else resolve(addresses);
    });
  });
}

/** This machine, or nobody: unspecified addresses connect to it too. */
const own = new BlockList();
own.addSubnet('127.0.0.0', 8, 'ipv4');
own.addSubnet('0.0.0.0', 8, 'ipv4');
own.addSubnet('224.0.0.0', 3, 'ipv4');
own.addAddress('::1', 'ipv6');
own.addAddress('::', 'ipv6');
own.addSubnet('ff00::', 8, 'ipv6');

function isOwn(address: string): boolean {
  const family = isIP(address);
  return family === 0 || own.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
