import { bodyOf } from '../body.ts';
import type { HubObject } from '../hub.ts';
import { isJsonObject, isObjectName, type JsonObject, type ObjectReader, pointer } from '../reader.ts';
import type { IdentitySubject, TrafficTarget, TrafficTargetRule } from './traffic-target.ts';

/** The annotation that makes a target a rehearsal (DECISIONS S2). */
const modeAnnotation = 'tulle.dev/mode';

/**
 * Decodes access v1alpha1 (`specs`, at the top level), v1alpha2 (`spec.rules`), v1alpha3 and v1alpha4.
 * Undefined: it has no destination that could be understood, so it grants nothing.
 */
export function decodeTrafficTarget(
  raw: JsonObject,
  meta: HubObject,
  version: string,
  reader: ObjectReader,
): TrafficTarget | undefined {
  const underSpec = version !== 'v1alpha1';
  const names = ['destination', 'rules', 'specs', 'sources'];
  const body = bodyOf(raw, reader, { underSpec, names });
  if (body === undefined) return undefined;
  const { fields, at } = body;
  reader.onlyKnown(fields, at, at === '' ? ['apiVersion', 'kind', 'metadata', 'spec', 'status', ...names] : names);
  if (at !== '') reader.onlyKnown(raw, '', ['apiVersion', 'kind', 'metadata', 'spec', 'status']);

  const destination = decodeDestination(fields['destination'], pointer(at, 'destination'), meta, version, reader);
  const rules = decodeRules(fields, at, version, reader);
  const sources = decodeSources(fields['sources'], pointer(at, 'sources'), meta, reader);
  const shadow = decodeShadow(meta, reader);
  if (destination === undefined || rules === undefined) return undefined;
  return { ...meta, kind: 'TrafficTarget', destination, rules, sources, shadow };
}

function decodeDestination(
  value: unknown,
  field: string,
  meta: HubObject,
  version: string,
  reader: ObjectReader,
): TrafficTarget['destination'] | undefined {
  const object = reader.object(value, field);
  if (object === undefined) return undefined;
  const subject = decodeSubject(object, field, meta, reader);
  if (subject.broken) return undefined;
  if (object['port'] === undefined) return subject;
  const port = reader.port(object['port'], pointer(field, 'port'), { orText: true });
  if (port === undefined) return undefined;
  if (version !== 'v1alpha1' && version !== 'v1alpha2') {
    const message = `access ${version} has no port here; it is honoured as one more condition`;
    reader.report(pointer(field, 'port'), 'FieldUnknown', message, 'name the port in a TCPRoute rule', 'warning');
  }
  return { ...subject, port };
}

/** Undefined: it can't be told which rules are meant. A rule that can't be decoded stays, marked. */
function decodeRules(
  fields: JsonObject,
  at: string,
  version: string,
  reader: ObjectReader,
): readonly TrafficTargetRule[] | undefined {
  const own = version === 'v1alpha1' ? 'specs' : 'rules';
  const other = own === 'specs' ? 'rules' : 'specs';
  let name = own;
  if (fields[other] !== undefined) {
    const field = pointer(at, other);
    if (fields[own] !== undefined) {
      reader.report(field, 'FieldInvalid', 'both rules and specs are given: one must be meant', `keep ${own} only`);
      return undefined;
    }
    const message = `access ${version} calls this ${own}; it is read as such`;
    reader.report(field, 'FieldInvalid', message, `rename it to ${own}`, 'warning');
    name = other;
  }
  const value = fields[name];
  if (value === undefined) return [];
  const field = pointer(at, name);
  return reader.list(value, field)?.map((rule, i) => decodeRule(rule, pointer(field, i), reader));
}

const ruleFields = ['kind', 'name', 'matches', 'group', 'apiGroup'];

function decodeRule(value: unknown, field: string, reader: ObjectReader): TrafficTargetRule {
  const object = reader.object(value, field);
  if (object === undefined) return { kind: '', name: '', broken: true };
  reader.onlyKnown(object, field, ruleFields, 'error');
  const kind = reader.text(object['kind'], pointer(field, 'kind'));
  const name = reader.objectName(object['name'], pointer(field, 'name'));
  const matches = decodeMatchNames(object['matches'], pointer(field, 'matches'), reader);
  const undecoded = kind === undefined || name === undefined || hasUnknownField(object, ruleFields);
  return {
    kind: kind ?? '',
    name: name ?? '',
    ...(matches !== undefined && { matches }),
    ...(undecoded && { broken: true as const, matches: [] }),
  };
}

function hasUnknownField(object: JsonObject, known: readonly string[]): boolean {
  return Object.keys(object).some((key) => !known.includes(key));
}

/** Absent or an empty list: all. A name that isn't text selects nothing, and never makes the list "all". */
function decodeMatchNames(value: unknown, field: string, reader: ObjectReader): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const list = reader.list(value, field);
  if (list === undefined) return [];
  if (list.length === 0) return undefined;
  return list.flatMap((name, i) => reader.text(name, pointer(field, i)) ?? []);
}

function decodeSources(
  value: unknown,
  field: string,
  meta: HubObject,
  reader: ObjectReader,
): readonly IdentitySubject[] {
  if (value === undefined) return [];
  return (reader.list(value, field) ?? []).map((source, i) => decodeSubject(source, pointer(field, i), meta, reader));
}

const subjectFields = ['kind', 'name', 'namespace', 'group', 'apiGroup', 'port'];

/** A source's `port` was never given a meaning by the specification and is passed over. */
function decodeSubject(value: unknown, field: string, meta: HubObject, reader: ObjectReader): IdentitySubject {
  const object = isJsonObject(value) ? value : undefined;
  if (object === undefined) reader.object(value, field);
  else reader.onlyKnown(object, field, subjectFields, 'error');
  const kind = object && reader.text(object['kind'], pointer(field, 'kind'));
  const name = object && reader.objectName(object['name'], pointer(field, 'name'));
  const namespace = object && decodeNamespace(object['namespace'], pointer(field, 'namespace'), meta, reader);
  const decoded = kind !== undefined && name !== undefined && namespace !== undefined;
  if (decoded && object && !hasUnknownField(object, subjectFields)) return { kind, name, namespace };
  return { kind: kind ?? '', name: name ?? '', namespace: namespace ?? meta.namespace, broken: true };
}

function decodeNamespace(value: unknown, field: string, meta: HubObject, reader: ObjectReader): string | undefined {
  // Go clients write "" for a namespace that isn't set.
  if (value === undefined || value === '') return meta.namespace;
  return isObjectName(value) ? value : reader.objectName(value, field);
}

/** A mode that can't be understood makes the target a rehearsal: it must not grant what was perhaps only to be tried. */
function decodeShadow(meta: HubObject, reader: ObjectReader): boolean {
  const mode = meta.annotations[modeAnnotation];
  if (mode === undefined || mode === 'enforce') return false;
  if (mode !== 'shadow') {
    const message = `the mode of a TrafficTarget is "shadow" or "enforce", not "${mode}"; it is taken as shadow`;
    const field = pointer('/metadata/annotations', modeAnnotation);
    reader.report(field, 'FieldInvalid', message, 'write "shadow", or remove the annotation');
  }
  return true;
}
