import { bodyOf } from '../body.ts';
import type { HubObject } from '../hub.ts';
import { isJsonObject, type JsonObject, type ObjectReader, pointer } from '../reader.ts';
import type { IdentityBinding } from './identity-binding.ts';

/**
 * Decodes access v1alpha4. The schemes are alternatives, so one that can't be read is left out and the others hold.
 * Undefined: none is left, so it stands for nobody.
 */
export function decodeIdentityBinding(
  raw: JsonObject,
  meta: HubObject,
  _version: string,
  reader: ObjectReader,
): IdentityBinding | undefined {
  const standard = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  const body = bodyOf(raw, reader, { underSpec: true, names: ['schemes'] });
  if (body === undefined) return undefined;
  reader.onlyKnown(raw, '', body.at === '' ? [...standard, 'schemes'] : standard);
  if (body.at !== '') reader.onlyKnown(body.fields, body.at, ['schemes']);
  const at = pointer(body.at, 'schemes');
  const schemes = reader.object(body.fields['schemes'], at);
  if (schemes === undefined) return undefined;
  reader.onlyKnown(schemes, at, ['podLabelSelector', 'podLabelSelectors', 'serviceAccount', 'spiffeIdentities']);

  // null is written by typed clients for a scheme that isn't used.
  const given = (name: string): unknown => schemes[name] ?? undefined;
  const podLabelSelector = given('podLabelSelectors')
    ? decodeOnlySelector(given('podLabelSelectors'), pointer(at, 'podLabelSelectors'), reader)
    : decodeSelector(given('podLabelSelector'), pointer(at, 'podLabelSelector'), reader);
  const serviceAccount =
    given('serviceAccount') === undefined
      ? undefined
      : reader.objectName(given('serviceAccount'), pointer(at, 'serviceAccount'));
  const spiffeIdentities = decodeSpiffeIds(given('spiffeIdentities'), pointer(at, 'spiffeIdentities'), reader);

  const selects = given('podLabelSelector') ?? given('podLabelSelectors');
  if (selects !== undefined && given('serviceAccount') !== undefined) {
    const message = 'podLabelSelector and serviceAccount exclude each other';
    reader.report(pointer(at, 'serviceAccount'), 'FieldInvalid', message, 'keep one of them');
    return undefined;
  }
  if (podLabelSelector === undefined && serviceAccount === undefined && spiffeIdentities === undefined) {
    if (reader.problems.every(({ severity }) => severity !== 'error')) {
      const message = 'no scheme is given, so it stands for nobody';
      reader.report(at, 'FieldMissing', message, 'give serviceAccount, podLabelSelector or spiffeIdentities');
    }
    return undefined;
  }
  return {
    ...meta,
    kind: 'IdentityBinding',
    ...(podLabelSelector !== undefined && { podLabelSelector }),
    ...(serviceAccount !== undefined && { serviceAccount }),
    ...(spiffeIdentities !== undefined && { spiffeIdentities }),
  };
}

/** The last text of the specification has a list of named selectors; the schemas that went out have one. */
function decodeOnlySelector(
  value: unknown,
  field: string,
  reader: ObjectReader,
): Readonly<Record<string, string>> | undefined {
  const list = reader.list(value, field);
  if (list === undefined) return undefined;
  const [first] = list;
  if (list.length !== 1 || !isJsonObject(first)) {
    reader.report(field, 'FieldInvalid', 'exactly one selector is read here', 'write one binding for each selector');
    return undefined;
  }
  const selector = Object.fromEntries(Object.entries(first).filter(([key]) => key !== 'name'));
  return decodeSelector(selector, pointer(field, 0), reader);
}

function decodeSelector(
  value: unknown,
  field: string,
  reader: ObjectReader,
): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return undefined;
  const selector = reader.object(value, field);
  if (selector === undefined || !reader.onlyKnown(selector, field, ['matchLabels'], 'error')) return undefined;
  const at = pointer(field, 'matchLabels');
  const entries = Object.entries(reader.object(selector['matchLabels'], at) ?? {});
  // No label at all would select every pod, and a label less would select more.
  const valid = entries.filter(
    (entry): entry is [string, string] => reader.text(entry[1], pointer(at, entry[0])) !== undefined,
  );
  if (entries.length === 0 && selector['matchLabels'] !== undefined) {
    reader.report(at, 'FieldInvalid', 'no label is named, and every pod is never meant', 'name at least one label');
  }
  return entries.length > 0 && valid.length === entries.length ? Object.fromEntries(valid) : undefined;
}

/** The specification's own example leaves the scheme away; it is put back. */
function decodeSpiffeIds(value: unknown, field: string, reader: ObjectReader): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const ids = (reader.list(value, field) ?? []).flatMap((id, i) => {
    const text = reader.text(id, pointer(field, i));
    if (text === undefined) return [];
    const path = text.startsWith('spiffe://') ? text.slice('spiffe://'.length) : text;
    if (/^[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/.test(path) && !/\/\.{1,2}(\/|$)/.test(path)) return [`spiffe://${path}`];
    reader.report(pointer(field, i), 'FieldInvalid', 'this is no SPIFFE id', 'write spiffe://<trust domain>/<path>');
    return [];
  });
  return ids.length > 0 ? [...new Set(ids)] : undefined;
}
