import type { Endpoint, EndpointAddress } from '../policy/endpoints.ts';
import type { ServicePort } from './snapshot.ts';
import type { Workload } from './workloads.ts';

/** Where a pod is met on a port. */
export function podEndpoint(workload: Workload, port: number, ready: boolean, hostname: string | undefined): Endpoint {
  const { key, pod, identity, meshed } = workload;
  return {
    address: addressOf(workload, port),
    pod: key,
    identity: meshed ? identity : '',
    meshed,
    ready,
    ip: pod.ip,
    ...(hostname !== undefined && { hostname }),
    port,
  };
}

function addressOf({ pod: { ip: podIp, inboundAddress: template } }: Workload, port: number): EndpointAddress {
  if (template === undefined) return { kind: 'ip', ip: podIp, port };
  const text = template.replaceAll('{port}', String(port));
  if (text.startsWith('unix:')) return { kind: 'pipe', path: text.slice('unix:'.length) };
  const [, ip = podIp, at] = /^\[?([^\]]*)\]?:(\d+)$/.exec(text) ?? [];
  return { kind: 'ip', ip, port: at === undefined ? port : Number(at) };
}

/** A number stands for itself; a name for the container port of that name. */
export function targetPortOf({ targetPort }: ServicePort, { pod }: Workload): number | undefined {
  return typeof targetPort === 'number' ? targetPort : pod.ports.find(({ name }) => name === targetPort)?.port;
}
