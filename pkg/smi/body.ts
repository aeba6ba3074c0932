import { isJsonObject, type JsonObject, type ObjectReader } from './reader.ts';

/** Where the fields of a kind stand in the object as written. */
export interface Body {
  readonly fields: JsonObject;
  /** JSON pointer to `fields`: `/spec`, or '' where a version has no spec. */
  readonly at: string;
}

/**
 * Finds the fields of a kind: under `spec`, or at the top level as the early versions have them.
 *
 * The specification's own A/B example for split v1alpha4 has them in the other place, so that is read too, with a
 * warning. Undefined: the place can't be told, or isn't an object; then nothing of the object may be in force.
 */
export function bodyOf(
  raw: JsonObject,
  reader: ObjectReader,
  options: { readonly underSpec: boolean; readonly names: readonly string[] },
): Body | undefined {
  const { underSpec, names } = options;
  const spec = raw['spec'];
  if (spec !== undefined && spec !== null && !isJsonObject(spec)) {
    reader.object(spec, '/spec');
    return undefined;
  }
  const atTop = names.filter((name) => name in raw);
  const inSpec = isJsonObject(spec) ? names.filter((name) => name in spec) : [];
  const below: Body = { fields: isJsonObject(spec) ? spec : {}, at: '/spec' };
  const top: Body = { fields: raw, at: '' };

  if (atTop.length > 0 && inSpec.length > 0) {
    const message = `${atTop.join(', ')} beside spec, and ${inSpec.join(', ')} under it: one of them must be meant`;
    reader.report(underSpec ? `/${atTop[0]}` : '/spec', 'FieldInvalid', message, 'keep one of them');
    return undefined;
  }
  const version = reader.resource.apiVersion ?? '';
  if (underSpec && atTop.length > 0) {
    const message = `${version} has ${atTop.join(', ')} under spec; it is read as if it stood there`;
    reader.report(`/${atTop[0]}`, 'FieldInvalid', message, 'move it under spec', 'warning');
    return top;
  }
  if (!underSpec && inSpec.length > 0) {
    const message = `${version} has no spec: ${inSpec.join(', ')} is read as if it stood at the top level`;
    reader.report('/spec', 'FieldInvalid', message, 'move it to the top level, or use the newest version', 'warning');
    return below;
  }
  return underSpec ? below : top;
}
