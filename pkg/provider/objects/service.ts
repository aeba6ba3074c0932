import type { RawObject, Service, ServicePort } from '../../catalog/snapshot.ts';
import { type JsonObject, type ObjectReader, pointer } from '../../smi/reader.ts';
import { textMap } from './text-map.ts';

/** Decodes a core/v1 Service. `clusterIPs` has what was written; the provider assigns one where there is none. */
export function decodeService(raw: RawObject, reader: ObjectReader): Service {
  const { name, namespace } = raw.metadata;
  const spec = raw['spec'] === undefined ? {} : (reader.object(raw['spec'], '/spec') ?? {});
  const externalName = spec['type'] === 'ExternalName' ? spec['externalName'] : undefined;
  const headless = spec['clusterIP'] === 'None';
  const selector = textMap(spec['selector']);
  return {
    namespace,
    name,
    clusterIPs: headless || typeof externalName === 'string' ? [] : clusterIPsOf(spec, reader),
    headless,
    ...(typeof externalName === 'string' && { externalName }),
    ...(Object.keys(selector).length > 0 && { selector }),
    ports: decodePorts(spec['ports'], reader),
    publishNotReadyAddresses: spec['publishNotReadyAddresses'] === true,
  };
}

function clusterIPsOf(spec: JsonObject, reader: ObjectReader): readonly string[] {
  const { clusterIP, clusterIPs } = spec;
  const given = Array.isArray(clusterIPs) && clusterIPs.length > 0 ? (clusterIPs as unknown[]) : [clusterIP];
  return given.flatMap((ip, i) => {
    if (ip === undefined || ip === null || ip === '') return [];
    if (typeof ip === 'string' && /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)$/i.test(ip)) return [ip];
    const field = ip === clusterIP ? '/spec/clusterIP' : `/spec/clusterIPs/${i}`;
    reader.report(field, 'FieldInvalid', 'this is no IP address', 'write one, "None", or leave it out');
    return [];
  });
}

function decodePorts(value: unknown, reader: ObjectReader): readonly ServicePort[] {
  if (value === undefined || value === null) return [];
  return (reader.list(value, '/spec/ports') ?? []).flatMap((item, i) => {
    const at = `/spec/ports/${i}`;
    const object = reader.object(item, at);
    const port = object && reader.port(object['port'], pointer(at, 'port'));
    const protocol = object && decodeProtocol(object['protocol'], pointer(at, 'protocol'), reader);
    if (object === undefined || port === undefined || protocol === undefined) return [];
    const targetPort = decodeTargetPort(object['targetPort'], port, pointer(at, 'targetPort'), reader);
    if (targetPort === undefined) return [];
    const { name, appProtocol } = object;
    return [
      {
        name: typeof name === 'string' ? name : '',
        port,
        targetPort,
        protocol,
        ...(typeof appProtocol === 'string' && { appProtocol }),
      },
    ];
  });
}

function decodeTargetPort(
  value: unknown,
  port: number,
  field: string,
  reader: ObjectReader,
): number | string | undefined {
  if (value === undefined || value === null || value === '' || value === 0) return port;
  if (typeof value === 'string' && !/^\d+$/.test(value)) return value;
  return reader.port(value, field, { orText: true });
}

/** The transport of a port; TCP when none is given. */
export function decodeProtocol(
  value: unknown,
  field: string,
  reader: ObjectReader,
): ServicePort['protocol'] | undefined {
  if (value === undefined || value === null || value === '') return 'TCP';
  if (value === 'TCP' || value === 'UDP' || value === 'SCTP') return value;
  reader.report(field, 'FieldInvalid', 'this is no protocol of a port', 'write TCP, UDP or SCTP');
  return undefined;
}
