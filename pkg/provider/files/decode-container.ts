import { isJsonObject, type JsonObject, type ObjectReader, pointer } from '../../smi/reader.ts';
import { decodeProtocol } from '../objects/service.ts';
import type { Container, ContainerPort, EnvEntry, EnvFromEntry, KeyRef, Probe } from './workload.ts';

/** Undefined: it has no name, so nothing can be said of it. */
export function decodeContainer(object: JsonObject, at: string, reader: ObjectReader): Container | undefined {
  const name = reader.text(object['name'], pointer(at, 'name'));
  if (name === undefined) return undefined;
  const { image, workingDir } = object;
  const probe = (field: string): Probe | undefined => decodeProbe(object[field], pointer(at, field), reader);
  const [readinessProbe, livenessProbe, startupProbe] = ['readinessProbe', 'livenessProbe', 'startupProbe'].map(probe);
  return {
    name,
    image: typeof image === 'string' ? image : '',
    command: texts(object['command'], pointer(at, 'command'), reader),
    args: texts(object['args'], pointer(at, 'args'), reader),
    env: objects(object['env'], pointer(at, 'env'), reader).flatMap((entry) => decodeEnv(entry, reader) ?? []),
    envFrom: objects(object['envFrom'], pointer(at, 'envFrom'), reader).map(decodeEnvFrom),
    ...(typeof workingDir === 'string' && workingDir !== '' && { workingDir }),
    ports: objects(object['ports'], pointer(at, 'ports'), reader).flatMap((entry) => decodePort(entry, reader) ?? []),
    ...(readinessProbe && { readinessProbe }),
    ...(livenessProbe && { livenessProbe }),
    ...(startupProbe && { startupProbe }),
  };
}

interface Entry {
  readonly object: JsonObject;
  readonly at: string;
}

function objects(value: unknown, field: string, reader: ObjectReader): Entry[] {
  if (value === undefined || value === null) return [];
  return (reader.list(value, field) ?? []).flatMap((item, i) => {
    const at = pointer(field, i);
    const object = reader.object(item, at);
    return object ? [{ object, at }] : [];
  });
}

/** A number or a boolean among the arguments is what people forget to quote: the API server refuses it, here it is text. */
function texts(value: unknown, field: string, reader: ObjectReader): readonly string[] {
  if (value === undefined || value === null) return [];
  return (reader.list(value, field) ?? []).flatMap((item, i) => decodeText(item, pointer(field, i), reader) ?? []);
}

function decodeText(value: unknown, field: string, reader: ObjectReader): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') {
    const message = `this is the ${typeof value} ${value}, and a cluster wants text; it is taken as text here`;
    reader.report(field, 'FieldInvalid', message, `write "${value}", in quotes`, 'warning');
    return String(value);
  }
  reader.report(field, 'FieldInvalid', 'this is not text', 'write text');
  return undefined;
}

function decodePort({ object, at }: Entry, reader: ObjectReader): ContainerPort | undefined {
  const port = reader.port(object['containerPort'], pointer(at, 'containerPort'));
  const protocol = decodeProtocol(object['protocol'], pointer(at, 'protocol'), reader);
  if (port === undefined || protocol === undefined) return undefined;
  return { name: typeof object['name'] === 'string' ? object['name'] : '', port, protocol };
}

function decodeEnv({ object, at }: Entry, reader: ObjectReader): EnvEntry | undefined {
  const name = reader.text(object['name'], pointer(at, 'name'));
  if (name === undefined) return undefined;
  const { value, valueFrom } = object;
  if (isJsonObject(valueFrom)) return { name, valueFrom: decodeValueFrom(valueFrom) };
  if (value === undefined || value === null) return { name, value: '' };
  const text = decodeText(value, pointer(at, 'value'), reader);
  return text === undefined ? undefined : { name, value: text };
}

function decodeValueFrom(source: JsonObject): NonNullable<EnvEntry['valueFrom']> {
  const { fieldRef, resourceFieldRef } = source;
  const configMapKeyRef = decodeKeyRef(source['configMapKeyRef']);
  const secretKeyRef = decodeKeyRef(source['secretKeyRef']);
  const { fieldPath } = isJsonObject(fieldRef) ? fieldRef : {};
  const { resource, containerName } = isJsonObject(resourceFieldRef) ? resourceFieldRef : {};
  return {
    ...(typeof fieldPath === 'string' && { fieldRef: { fieldPath } }),
    ...(configMapKeyRef && { configMapKeyRef }),
    ...(secretKeyRef && { secretKeyRef }),
    ...(typeof resource === 'string' && {
      resourceFieldRef: { resource, ...(typeof containerName === 'string' && { containerName }) },
    }),
  };
}

function decodeKeyRef(value: unknown): KeyRef | undefined {
  const { name, key, optional } = isJsonObject(value) ? value : {};
  if (typeof name !== 'string' || typeof key !== 'string') return undefined;
  return { name, key, optional: optional === true };
}

function decodeEnvFrom({ object }: Entry): EnvFromEntry {
  const { prefix } = object;
  const configMapRef = decodeNameRef(object['configMapRef']);
  const secretRef = decodeNameRef(object['secretRef']);
  return {
    prefix: typeof prefix === 'string' ? prefix : '',
    ...(configMapRef && { configMapRef }),
    ...(secretRef && { secretRef }),
  };
}

function decodeNameRef(value: unknown): { name: string; optional: boolean } | undefined {
  const { name, optional } = isJsonObject(value) ? value : {};
  return typeof name === 'string' ? { name, optional: optional === true } : undefined;
}

/** Defaults are those of Kubernetes. Undefined: none is given, or it asks in no way that is known. */
function decodeProbe(value: unknown, field: string, reader: ObjectReader): Probe | undefined {
  if (value === undefined || value === null) return undefined;
  const probe = reader.object(value, field);
  if (probe === undefined) return undefined;
  const times = {
    initialDelaySeconds: seconds(probe['initialDelaySeconds'], 0),
    periodSeconds: seconds(probe['periodSeconds'], 10),
    timeoutSeconds: seconds(probe['timeoutSeconds'], 1),
    successThreshold: seconds(probe['successThreshold'], 1),
    failureThreshold: seconds(probe['failureThreshold'], 3),
  };
  const { httpGet, tcpSocket, grpc, exec } = probe;
  if (isJsonObject(httpGet)) {
    const port = decodeProbePort(httpGet['port'], `${field}/httpGet/port`, reader);
    if (port === undefined) return undefined;
    const { path, scheme, httpHeaders } = httpGet;
    const headers = (Array.isArray(httpHeaders) ? httpHeaders.filter(isJsonObject) : []).flatMap((header) => {
      const { name, value: text } = header;
      return typeof name === 'string' && typeof text === 'string' ? [{ name, value: text }] : [];
    });
    const get = { path: typeof path === 'string' ? path : '/', scheme: typeof scheme === 'string' ? scheme : 'HTTP' };
    return { ...times, httpGet: { ...get, port, httpHeaders: headers } };
  }
  if (isJsonObject(tcpSocket)) {
    const port = decodeProbePort(tcpSocket['port'], `${field}/tcpSocket/port`, reader);
    return port === undefined ? undefined : { ...times, tcpSocket: { port } };
  }
  if (isJsonObject(grpc)) {
    const port = reader.port(grpc['port'], `${field}/grpc/port`);
    const service = typeof grpc['service'] === 'string' ? grpc['service'] : '';
    return port === undefined ? undefined : { ...times, grpc: { port, service } };
  }
  if (isJsonObject(exec)) {
    return { ...times, exec: { command: texts(exec['command'], `${field}/exec/command`, reader) } };
  }
  reader.report(field, 'FieldInvalid', 'the probe asks nothing', 'give it httpGet, tcpSocket, grpc or exec');
  return undefined;
}

function decodeProbePort(value: unknown, field: string, reader: ObjectReader): number | string | undefined {
  if (typeof value === 'string' && value !== '' && !/^\d+$/.test(value)) return value;
  return reader.port(value, field, { orText: true });
}

function seconds(value: unknown, otherwise: number): number {
  return typeof value === 'number' && value >= 0 && value <= 86_400 ? value : otherwise;
}
