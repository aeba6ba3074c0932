import { bodyOf } from '../body.ts';
import type { HubObject } from '../hub.ts';
import { type JsonObject, type ObjectReader, pointer } from '../reader.ts';
import { type ExactWeight, isWhole, maxWeight, parseWeight, scaleWeights } from '../weight.ts';
import type { TrafficSplit, TrafficSplitBackend } from './traffic-split.ts';

/**
 * Decodes split v1alpha1 (Quantity weights) to v1alpha4. Quantities are read in every version: an API server that
 * converts nothing shows an object of v1alpha1 under all of them, `"20"` included (DECISIONS K4).
 * A backend that can't be read takes no traffic, as one that doesn't exist; undefined: none is left, or no root.
 */
export function decodeTrafficSplit(
  raw: JsonObject,
  meta: HubObject,
  version: string,
  reader: ObjectReader,
): TrafficSplit | undefined {
  const names = ['service', 'backends', 'matches'];
  const standard = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  const body = bodyOf(raw, reader, { underSpec: true, names });
  if (body === undefined) return undefined;
  const { fields, at } = body;
  reader.onlyKnown(raw, '', at === '' ? [...standard, ...names] : standard);
  if (at !== '') reader.onlyKnown(fields, at, names);

  const service = reader.text(fields['service'], pointer(at, 'service'));
  const written = reader.list(fields['backends'], pointer(at, 'backends'));
  const backends = decodeBackends(written ?? [], pointer(at, 'backends'), version, reader);
  const matches = decodeMatches(fields['matches'], pointer(at, 'matches'), reader);
  if (service === undefined || written === undefined) return undefined;
  if (backends.length === 0 && written.length > 0) return undefined;
  return { ...meta, kind: 'TrafficSplit', service, backends, ...(matches !== undefined && { matches }) };
}

function decodeBackends(
  list: readonly unknown[],
  field: string,
  version: string,
  reader: ObjectReader,
): readonly TrafficSplitBackend[] {
  const read = list.flatMap((value, index) => {
    const at = pointer(field, index);
    const object = reader.object(value, at);
    if (object === undefined) return [];
    reader.onlyKnown(object, at, ['service', 'weight']);
    const service = reader.objectName(object['service'], pointer(at, 'service'));
    const weight = decodeWeight(object['weight'], pointer(at, 'weight'), version, reader);
    return service === undefined || weight === undefined ? [] : [{ service, index, weight }];
  });
  const weights = scaleWeights(read.map(({ weight }) => weight));
  return read.flatMap(({ service, index }, i) => {
    const weight = weights[i];
    if (weight !== undefined) return [{ service, index, weight }];
    const at = pointer(pointer(field, index), 'weight');
    const message = `the weight is above ${maxWeight} of its smallest unit, too large to be kept exactly`;
    reader.report(at, 'WeightInvalid', message, 'write smaller weights in the same proportion');
    return [];
  });
}

function decodeWeight(value: unknown, field: string, version: string, reader: ObjectReader): ExactWeight | undefined {
  if (value === undefined) {
    reader.report(field, 'FieldMissing', 'weight is missing, so the backend takes no traffic', 'give it a weight');
    return undefined;
  }
  const weight = parseWeight(value);
  if (weight === undefined) {
    const message = 'the weight is no whole number of 0 or more, so the backend takes no traffic';
    reader.report(field, 'WeightInvalid', message, 'write a whole number; only the proportion to the others counts');
  } else if (version !== 'v1alpha1' && typeof value === 'number' && !isWhole(weight)) {
    const message = `split ${version} has whole weights only; all are multiplied by one factor`;
    reader.report(field, 'WeightInvalid', message, 'write whole numbers in the same proportion', 'warning');
  }
  return weight;
}

/**
 * Absent or an empty list: the split holds for all requests. What can't be read stays as a reference that leads
 * nowhere, so that a split for some users never becomes one for all.
 */
function decodeMatches(value: unknown, field: string, reader: ObjectReader): TrafficSplit['matches'] {
  if (value === undefined) return undefined;
  const list = reader.list(value, field);
  if (list === undefined) return [];
  if (list.length === 0) return undefined;
  return list.map((match, i) => {
    const at = pointer(field, i);
    const object = reader.object(match, at);
    if (object === undefined) return { kind: '', name: '', broken: true as const };
    reader.onlyKnown(object, at, ['kind', 'name', 'apiGroup', 'group']);
    const kind = reader.text(object['kind'], pointer(at, 'kind'));
    const name = reader.objectName(object['name'], pointer(at, 'name'));
    if (kind !== undefined && name !== undefined) return { kind, name };
    return { kind: kind ?? '', name: name ?? '', broken: true as const };
  });
}
