import { isHttp, protocolOf } from '../catalog/protocol.ts';
import type { MeshSnapshot } from '../catalog/snapshot.ts';
import type { ProxyEntrance } from './sidecar-program.ts';

/** A port of a Service that HTTP proxies don't carry. */
export interface TcpService {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

/** Ports of the mesh's Services that HTTP proxies don't carry. */
export function tcpServices({ services }: MeshSnapshot): readonly TcpService[] {
  return services.flatMap(({ namespace, name, ports }) =>
    ports
      .filter((port) => port.protocol === 'TCP' && !isHttp(protocolOf(port).protocol))
      .map(({ port }) => ({ namespace, name, port })),
  );
}

/**
 * The variables that Kubernetes gives every container for the Services of its namespace: `BOOKDB_SERVICE_HOST`,
 * `BOOKDB_SERVICE_PORT` and one port by name. By proxy they lead to the loopback port of the Service, so TCP only.
 */
export function serviceVariables(
  { services }: MeshSnapshot,
  namespace: string,
  proxy: ProxyEntrance | undefined,
): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const service of services) {
    const [address] = service.clusterIPs;
    if (service.namespace !== namespace || (address === undefined && !proxy)) continue;
    const prefix = toVariable(service.name);
    for (const [i, { name, port }] of service.ports.entries()) {
      const local = proxy?.tcp.find(({ service: key }) => key === `${namespace}/${service.name}:${port}`);
      if (proxy && !local) continue;
      const host = local ? '127.0.0.1' : address;
      if (host === undefined) continue;
      const number = String(local?.port ?? port);
      if (i === 0) Object.assign(variables, { [`${prefix}_SERVICE_HOST`]: host, [`${prefix}_SERVICE_PORT`]: number });
      if (name !== '') variables[`${prefix}_SERVICE_PORT_${toVariable(name)}`] = number;
    }
  }
  return variables;
}

/** How programs find the sidecar by proxy; curl reads the lower-case name only, others the upper-case one (DECISIONS L2). */
export function proxyVariables({ port, secret, tcp }: ProxyEntrance): Record<string, string> {
  const url = `http://w:${secret}@127.0.0.1:${port}`;
  const variables: Record<string, string> = { NO_PROXY: '', no_proxy: '' };
  for (const name of ['http_proxy', 'https_proxy', 'grpc_proxy']) {
    variables[name] = url;
    variables[name.toUpperCase()] = url;
  }
  for (const { service, port: local } of tcp) {
    const [namespace = '', name = '', remote = ''] = service.split(/[/:]/);
    variables[`TULLE_TCP_${toVariable(namespace)}_${toVariable(name)}_${remote}`] = `127.0.0.1:${local}`;
  }
  return variables;
}

function toVariable(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');
}
