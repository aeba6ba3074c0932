import { isHttp } from '../catalog/protocol.ts';
import type { Origin } from '../policy/origin.ts';
import type { OutboundService, WeightedBackend } from '../policy/outbound.ts';
import { toWrittenField } from '../smi/decode.ts';
import { isJsonObject } from '../smi/reader.ts';
import type { TrafficSplit } from '../smi/traffic-split/traffic-split.ts';
import type { SplitShare, SplitView } from './explanation.ts';
import { type MeshFacts, placeOf } from './mesh-facts.ts';
import { optionalAt } from './view-target.ts';
import type { CallQuery, CallWalk } from './walk-call.ts';

const outReasons: Readonly<Record<string, string>> = {
  BackendNotFound: 'there is no such Service',
  BackendPortMissing: 'it lacks the port',
  ServiceUnsupported: 'it is headless or an ExternalName',
};

/** The split that a call meets, each backend as it is written with its share, or why it takes none. */
export function viewSplit(
  facts: MeshFacts,
  service: OutboundService,
  walk: CallWalk,
  query: CallQuery,
): SplitView | undefined {
  const route = service.routes.find(({ origin }) => origin?.kind === 'TrafficSplit');
  if (route?.origin === undefined) return undefined;
  const { origin } = route;
  const split = facts.smi.splits.find(({ namespace, name }) => namespace === origin.namespace && name === origin.name);
  const matched = walk.decision
    ? walk.decision.origin !== undefined
    : route.match === undefined || !query.request || !isHttp(query.entry.protocol);
  const open = route.backends.filter(({ excluded }) => excluded === undefined);
  const total = open.reduce((sum, { weight }) => sum + weight, 0);
  return {
    origin,
    ...optionalAt(placeOf(facts, origin)),
    matched,
    shares: [...route.backends.map(toShare), ...unreadBackends(facts, origin, split)],
  };

  function toShare({ service: backend, weight, excluded }: WeightedBackend): SplitShare {
    const index = split?.backends.find((each) => each.service === backend)?.index;
    const at =
      split && index !== undefined
        ? facts.locate(origin, toWrittenField(split, `/spec/backends/${index}/service`))
        : undefined;
    const out = excluded ? (outReasons[excluded] ?? excluded) : weight === 0 ? 'its weight is 0' : undefined;
    const share = excluded || total === 0 ? 0 : weight / total;
    return { backend, weight, share, ...(out !== undefined && { out }), ...optionalAt(at) };
  }
}

/** Those that could not be read: they stand in what is written, and nowhere in policy. */
function unreadBackends(
  { problems, snapshot, locate }: MeshFacts,
  origin: Origin,
  split: TrafficSplit | undefined,
): readonly SplitShare[] {
  const raw = snapshot.smi.find(
    ({ kind, metadata }) =>
      kind === origin.kind && metadata.namespace === origin.namespace && metadata.name === origin.name,
  );
  if (split === undefined || raw === undefined) return [];
  const spec = isJsonObject(raw['spec']) ? raw['spec'] : raw;
  const written: readonly unknown[] = Array.isArray(spec['backends']) ? (spec['backends'] as unknown[]) : [];
  return written.flatMap((backend, index): readonly SplitShare[] => {
    if (split.backends.some((known) => known.index === index)) return [];
    const own = `/backends/${index}`;
    const fault = problems.find(
      ({ severity, resource: { kind, namespace, name }, field }) =>
        severity === 'error' &&
        kind === origin.kind &&
        namespace === origin.namespace &&
        name === origin.name &&
        (field.endsWith(own) || field.includes(`${own}/`)),
    );
    const service = isJsonObject(backend) ? backend['service'] : undefined;
    const at = fault && locate(fault.resource, fault.field);
    return [
      {
        backend: typeof service === 'string' ? service : `backend ${index + 1}`,
        share: 0,
        out: fault?.message ?? 'it can not be read',
        ...optionalAt(at),
      },
    ];
  });
}
