import type { EndpointSlice, RawObject } from '../../catalog/snapshot.ts';
import { isJsonObject, type JsonObject, type ObjectReader, pointer } from '../../smi/reader.ts';
import { textMap } from './text-map.ts';

/** Decodes a discovery.k8s.io/v1 EndpointSlice; undefined: it belongs to no Service. */
export function decodeEndpointSlice(raw: RawObject, reader: ObjectReader): EndpointSlice | undefined {
  const service = textMap(raw.metadata.labels)['kubernetes.io/service-name'];
  if (service === undefined) {
    const message = 'the label kubernetes.io/service-name is missing, so it belongs to no Service';
    reader.report('/metadata/labels', 'FieldMissing', message, 'add the label with the name of the Service');
    return undefined;
  }
  const { namespace, name } = raw.metadata;
  if (raw['addressType'] === 'FQDN') {
    const message = 'its endpoints are names, which are not resolved, so nobody is reached by it';
    reader.report('/addressType', 'ServiceUnsupported', message, 'give addresses, or make the Service an ExternalName');
    return { namespace, name, service, ports: [], endpoints: [] };
  }
  const endpoints = objectsIn(raw['endpoints'], '/endpoints', reader).map(({ object }) => {
    const { addresses, conditions, hostname, targetRef } = object;
    const pod = isJsonObject(targetRef) && targetRef['kind'] === 'Pod' ? targetRef['name'] : undefined;
    return {
      addresses: Array.isArray(addresses) ? addresses.filter((ip): ip is string => typeof ip === 'string') : [],
      // Absent means unknown, and unknown means ready (EndpointConditions).
      ready: !isJsonObject(conditions) || conditions['ready'] !== false,
      ...(typeof hostname === 'string' && { hostname }),
      ...(typeof pod === 'string' && { pod }),
    };
  });
  return { namespace, name, service, ports: portsIn(raw['ports'], '/ports', reader), endpoints };
}

/** Decodes a core/v1 Endpoints as one slice per subset. */
export function decodeEndpoints(raw: RawObject, reader: ObjectReader): readonly EndpointSlice[] {
  const { namespace, name } = raw.metadata;
  return objectsIn(raw['subsets'], '/subsets', reader).map(({ object, at }, i) => {
    const addresses = (field: string, ready: boolean): EndpointSlice['endpoints'] =>
      objectsIn(object[field], pointer(at, field), reader).flatMap(({ object: { ip, hostname, targetRef } }) => {
        if (typeof ip !== 'string') return [];
        const pod = isJsonObject(targetRef) && targetRef['kind'] === 'Pod' ? targetRef['name'] : undefined;
        return [
          {
            addresses: [ip],
            ready,
            ...(typeof hostname === 'string' && { hostname }),
            ...(typeof pod === 'string' && { pod }),
          },
        ];
      });
    return {
      namespace,
      name: i === 0 ? name : `${name}-${i}`,
      service: name,
      ports: portsIn(object['ports'], pointer(at, 'ports'), reader),
      endpoints: [...addresses('addresses', true), ...addresses('notReadyAddresses', false)],
    };
  });
}

function portsIn(value: unknown, field: string, reader: ObjectReader): EndpointSlice['ports'] {
  return objectsIn(value, field, reader).flatMap(({ object, at }) => {
    const { name, appProtocol } = object;
    const port = reader.port(object['port'], pointer(at, 'port'));
    if (port === undefined) return [];
    return [
      { name: typeof name === 'string' ? name : '', port, ...(typeof appProtocol === 'string' && { appProtocol }) },
    ];
  });
}

function objectsIn(value: unknown, field: string, reader: ObjectReader): { object: JsonObject; at: string }[] {
  if (value === undefined || value === null) return [];
  return (reader.list(value, field) ?? []).flatMap((item, i) => {
    const at = pointer(field, i);
    const object = reader.object(item, at);
    return object ? [{ object, at }] : [];
  });
}
