import { bodyOf } from '../body.ts';
import type { HubObject } from '../hub.ts';
import { clip, isJsonObject, type JsonObject, type ObjectReader, pointer } from '../reader.ts';
import { checkRegex } from '../regex.ts';
import type { HTTPRouteGroup, HTTPRouteGroupMatch } from './http-route-group.ts';

/**
 * Decodes specs v1alpha1 and v1alpha2 (`matches` at the top level), v1alpha3 and v1alpha4 (`spec.matches`).
 * A match that isn't wholly understood is left out, alone: a condition that can't be read must not become "any".
 */
export function decodeHTTPRouteGroup(
  raw: JsonObject,
  meta: HubObject,
  version: string,
  reader: ObjectReader,
): HTTPRouteGroup {
  const underSpec = version === 'v1alpha3' || version === 'v1alpha4';
  const standard = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  const body = bodyOf(raw, reader, { underSpec, names: ['matches'] });
  const group = { ...meta, kind: 'HTTPRouteGroup' } as const;
  if (body === undefined) return { ...group, matches: [] };
  reader.onlyKnown(raw, '', body.at === '' ? [...standard, 'matches'] : standard);
  if (body.at !== '') reader.onlyKnown(body.fields, body.at, ['matches']);

  const field = pointer(body.at, 'matches');
  const list = reader.list(body.fields['matches'], field) ?? [];
  const matches = list.flatMap((match, i) => decodeMatch(match, i, pointer(field, i), reader) ?? []);
  reportDuplicates(matches, field, reader);
  return { ...group, matches };
}

function decodeMatch(
  value: unknown,
  index: number,
  field: string,
  reader: ObjectReader,
): HTTPRouteGroupMatch | undefined {
  const object = reader.object(value, field);
  if (object === undefined) return undefined;
  const known = reader.onlyKnown(object, field, ['name', 'pathRegex', 'methods', 'headers'], 'error');
  const name = reader.text(object['name'], pointer(field, 'name'));
  const path = decodePath(object['pathRegex'], pointer(field, 'pathRegex'), reader);
  const methods = decodeMethods(object['methods'], pointer(field, 'methods'), reader);
  const headers = decodeHeaders(object['headers'], pointer(field, 'headers'), reader);
  if (!known || name === undefined || path === broken || methods === broken || headers === broken) return undefined;
  return {
    name,
    index,
    ...(path !== undefined && { pathRegex: path }),
    ...(methods !== undefined && { methods }),
    ...(headers !== undefined && { headers }),
  };
}

/** A condition that was given and could not be read; undefined is one that was not given. */
const broken = Symbol('broken');

function decodePath(value: unknown, field: string, reader: ObjectReader): string | undefined | typeof broken {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') {
    reader.report(field, 'FieldInvalid', 'pathRegex is not a pattern', 'write a pattern, or leave it out for any path');
    return broken;
  }
  return isRegex(value, field, reader) ? value : broken;
}

function isRegex(value: string, field: string, reader: ObjectReader): boolean {
  const fault = checkRegex(value);
  if (fault) reader.report(field, fault.reason, fault.message, fault.fix);
  return fault === undefined;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const usualMethods = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

function decodeMethods(
  value: unknown,
  field: string,
  reader: ObjectReader,
): readonly string[] | undefined | typeof broken {
  if (value === undefined) return undefined;
  const list = reader.list(value, field);
  if (list === undefined) return broken;
  let valid = true;
  for (const [i, method] of list.entries()) {
    if (typeof method !== 'string' || !token.test(method)) {
      reader.report(pointer(field, i), 'FieldInvalid', 'this is no HTTP method', 'write one, as GET, or "*" for any');
      valid = false;
    } else if (!usualMethods.includes(method) && usualMethods.includes(method.toUpperCase())) {
      const message = `methods are case-sensitive: "${method}" is not ${method.toUpperCase()}`;
      reader.report(pointer(field, i), 'FieldInvalid', message, `write ${method.toUpperCase()}`, 'warning');
    }
  }
  if (!valid) return broken;
  return list.length === 0 || list.includes('*') ? undefined : [...new Set(list as readonly string[])];
}

type Headers = NonNullable<HTTPRouteGroupMatch['headers']>;

/** Takes both shapes: a list of objects (released v0.6.0 and the SDK) and one object (the text since). */
function decodeHeaders(value: unknown, field: string, reader: ObjectReader): Headers | undefined | typeof broken {
  if (value === undefined) return undefined;
  let objects: readonly (readonly [unknown, string])[];
  if (Array.isArray(value)) objects = value.map((entry: unknown, i) => [entry, pointer(field, i)] as const);
  else objects = [[value, field]];
  const headers: Headers[number][] = [];
  let valid = true;
  for (const [object, at] of objects) {
    const entries = Object.entries(reader.object(object, at) ?? {});
    // An element without a key is a condition that got lost, not "any"; the whole being empty is the user's "none".
    if (!isJsonObject(object)) valid = false;
    else if (Array.isArray(value) && entries.length === 0) {
      reader.report(at, 'FieldInvalid', 'this entry names no header', 'write name: pattern, or remove it');
      valid = false;
    }
    for (const [name, pattern] of entries) {
      const header = decodeHeader(name, pattern, pointer(at, name), reader);
      if (header) headers.push(header);
      else valid = false;
    }
  }
  if (!valid) return broken;
  return headers.length === 0 ? undefined : headers;
}

function decodeHeader(
  name: string,
  pattern: unknown,
  field: string,
  reader: ObjectReader,
): Headers[number] | undefined {
  if (!token.test(name)) {
    const pseudo = name.startsWith(':');
    const message = pseudo ? `"${clip(name)}" is a pseudo-header` : `"${clip(name)}" is no header name`;
    const fix = pseudo ? 'use pathRegex and methods, and "host" for the authority' : 'write a header name';
    reader.report(field, 'FieldInvalid', message, fix);
    return undefined;
  }
  if (typeof pattern !== 'string') {
    reader.report(field, 'FieldInvalid', 'the pattern of a header is not text', 'put it in quotes');
    return undefined;
  }
  return isRegex(pattern, field, reader) ? { name: name.toLowerCase(), value: pattern } : undefined;
}

function reportDuplicates(matches: readonly HTTPRouteGroupMatch[], field: string, reader: ObjectReader): void {
  const seen = new Set<string>();
  for (const { name, index } of matches) {
    if (seen.has(name)) {
      const message = `a match "${clip(name)}" stands above already; a rule that names it takes either`;
      reader.report(`${field}/${index}/name`, 'DuplicateMatch', message, 'give each match its own name', 'warning');
    }
    seen.add(name);
  }
}
