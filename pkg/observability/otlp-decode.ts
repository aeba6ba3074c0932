import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { fromJSON } from '@grpc/proto-loader';
import { unifyEnvoySpan } from './envoy-span.ts';
import { otlpDescriptor } from './otlp-descriptor.ts';
import { checkJsonSize, checkProtobufSize } from './otlp-size.ts';
import type { Span, SpanEvent, SpanKind, SpanLink, SpanResource, SpanScope, Tag } from './span.ts';

/** What an export request held. A span that can't be used is left out and counted, its neighbours are kept. */
export interface DecodedExport {
  readonly spans: readonly Span[];
  readonly rejected: number;
  /** Why the first one was rejected. */
  readonly reason?: string;
}

const types = fromJSON(otlpDescriptor, { longs: String, enums: Number, arrays: true });

/** The message types of the wire, both ways: the tests and the answers encode with them. */
export const otlpMessages = {
  request: messageType('ExportTraceServiceRequest'),
  response: messageType('ExportTraceServiceResponse'),
  status: messageType('RpcStatus'),
};

function messageType(name: string): MessageTypeDefinition<object, object> {
  return types[`tulle.otlp.${name}`] as MessageTypeDefinition<object, object>;
}

/** Throws when the bytes are no ExportTraceServiceRequest, and `OtlpTooLarge` for too many spans or parts of them. */
export function decodeOtlpProtobuf(body: Buffer): DecodedExport {
  checkProtobufSize(body);
  return decodeExport(otlpMessages.request.deserialize(body));
}

/** Throws when the text is no JSON object, or too large. OTLP/JSON has hex ids and numbers for enums. */
export function decodeOtlpJson(body: Buffer): DecodedExport {
  checkJsonSize(body);
  const value: unknown = JSON.parse(body.toString('utf8'));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not a JSON object');
  return decodeExport(value);
}

type Fields = Readonly<Record<string, unknown>>;

function decodeExport(request: object): DecodedExport {
  const spans: Span[] = [];
  let rejected = 0;
  let reason: string | undefined;
  for (const resourceSpans of listOf((request as Fields)['resourceSpans'])) {
    const resource = decodeResource(fieldsOf(resourceSpans['resource']));
    for (const scopeSpans of listOf(resourceSpans['scopeSpans'])) {
      const scope = decodeScope(fieldsOf(scopeSpans['scope']));
      for (const fields of listOf(scopeSpans['spans'])) {
        const span = decodeSpan(fields, resource, scope);
        if (typeof span !== 'string') {
          spans.push(unifyEnvoySpan(span));
          continue;
        }
        rejected += 1;
        reason ??= span;
      }
    }
  }
  return { spans, rejected, ...(reason !== undefined && { reason }) };
}

function decodeResource(fields: Fields): SpanResource {
  const attributes = decodeAttributes(fields['attributes']);
  const service = attributes.find(({ key }) => key === 'service.name');
  return {
    // As Jaeger calls it.
    service: service?.type === 'string' ? String(service.value) : service && 'service-name-wrong-type',
    attributes: attributes.filter(({ key }) => key !== 'service.name'),
  };
}

function decodeScope(fields: Fields): SpanScope {
  return { name: decodeText(fields['name']), version: decodeText(fields['version']) };
}

const kinds: readonly SpanKind[] = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];

/** Or why it can't be used: an error for each of thousands would cost far more than to decode them. */
function decodeSpan(fields: Fields, resource: SpanResource, scope: SpanScope): Span | string {
  const status = fieldsOf(fields['status']);
  const startNs = decodeTime(fields['startTimeUnixNano']);
  const traceId = decodeId(fields['traceId'], 16);
  if (traceId === undefined) return noId('trace id', 16);
  const spanId = decodeId(fields['spanId'], 8);
  if (spanId === undefined) return noId('span id', 8);
  const parentSpanId = decodeParentId(fields['parentSpanId']);
  if (parentSpanId === undefined) return noId('parent span id', 8);
  const links: SpanLink[] = [];
  for (const each of listOf(fields['links'])) {
    const link = decodeLink(each);
    if (typeof link === 'string') return link;
    links.push(link);
  }
  return {
    traceId,
    spanId,
    parentSpanId,
    traceState: decodeText(fields['traceState']),
    name: decodeText(fields['name']),
    kind: kinds[decodeEnum(fields['kind'], 'SPAN_KIND_', kinds)] ?? 'unspecified',
    startNs,
    durationNs: Number(decodeTime(fields['endTimeUnixNano']) - startNs),
    attributes: decodeAttributes(fields['attributes']),
    events: listOf(fields['events']).map(decodeEvent),
    links,
    status: statuses[decodeEnum(status['code'], 'STATUS_CODE_', statuses)] ?? 'unset',
    statusMessage: decodeText(status['message']),
    resource,
    scope,
  };
}

const statuses = ['unset', 'ok', 'error'] as const;

/** A number; by OTLP/JSON's letter names are not allowed, but some senders write them. */
function decodeEnum(value: unknown, prefix: string, names: readonly string[]): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? names.indexOf(value.replace(prefix, '').toLowerCase()) : 0;
}

function decodeEvent(fields: Fields): SpanEvent {
  return {
    name: decodeText(fields['name']),
    timeNs: decodeTime(fields['timeUnixNano']),
    attributes: decodeAttributes(fields['attributes']),
  };
}

function decodeLink(fields: Fields): SpanLink | string {
  const traceId = decodeId(fields['traceId'], 16);
  if (traceId === undefined) return noId('trace id of a link', 16);
  const spanId = decodeId(fields['spanId'], 8);
  if (spanId === undefined) return noId('span id of a link', 8);
  return { traceId, spanId, attributes: decodeAttributes(fields['attributes']) };
}

function decodeParentId(value: unknown): string | undefined {
  const text = idText(value);
  return text === '' || /^0+$/.test(text) ? '' : decodeId(value, 8);
}

function decodeId(value: unknown, length: number): string | undefined {
  const text = idText(value);
  const isId = text.length === 2 * length && /^[0-9a-f]+$/.test(text) && !/^0+$/.test(text);
  return isId ? text : undefined;
}

function noId(what: string, length: number): string {
  return `${what} is not ${length} bytes that are not all zero`;
}

function idText(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return typeof value === 'string' ? value.toLowerCase() : '';
}

/** Nanoseconds since 1970; fixed64 comes as text from protobuf, as text or number from JSON. */
function decodeTime(value: unknown): bigint {
  if (typeof value === 'number' && Number.isFinite(value)) return BigInt(Math.trunc(value));
  return typeof value === 'string' && /^\d{1,20}$/.test(value) ? BigInt(value) : 0n;
}

function decodeText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function decodeAttributes(value: unknown): Tag[] {
  return listOf(value).map((fields) => decodeTag(decodeText(fields['key']), fieldsOf(fields['value'])));
}

function decodeTag(key: string, value: Fields): Tag {
  if (value['stringValue'] !== undefined) return { key, type: 'string', value: decodeText(value['stringValue']) };
  if (value['boolValue'] !== undefined) return { key, type: 'bool', value: value['boolValue'] === true };
  if (value['intValue'] !== undefined) return { key, type: 'int64', value: decodeInteger(value['intValue']) };
  if (value['doubleValue'] !== undefined) return { key, type: 'float64', value: Number(value['doubleValue']) };
  if (value['bytesValue'] !== undefined) return { key, type: 'binary', value: toBase64(value['bytesValue']) };
  return { key, type: 'string', value: value['arrayValue'] || value['kvlistValue'] ? toJsonText(value) : '' };
}

function decodeInteger(value: unknown): number | string {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? value : 0;
}

function toBase64(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : decodeText(value);
}

/** Lists and maps as text: keys sorted, the characters that HTML knows escaped, as Go's encoder writes them. */
function toJsonText(value: Fields): string {
  const escapes: Record<string, string> = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026' };
  return JSON.stringify(toPlain(value, 0)).replace(/[<>&]/g, (character) => escapes[character] ?? character);
}

const maxDepth = 32;

function toPlain(value: Fields, depth: number): unknown {
  if (depth > maxDepth) return '…';
  if (value['arrayValue']) {
    return listOf(fieldsOf(value['arrayValue'])['values']).map((item) => toPlain(item, depth + 1));
  }
  if (value['kvlistValue']) {
    const entries = listOf(fieldsOf(value['kvlistValue'])['values']).map(
      (item) => [decodeText(item['key']), toPlain(fieldsOf(item['value']), depth + 1)] as const,
    );
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  const tag = decodeTag('', value);
  return tag.type === 'string' && value['stringValue'] === undefined ? null : tag.value;
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}
