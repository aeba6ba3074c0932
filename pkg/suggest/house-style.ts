import type { RawObject } from '../catalog/snapshot.ts';

/** How the files that are there write what they say. */
export interface HouseStyle {
  /** By kind. */
  readonly apiVersions: Readonly<Record<'TrafficTarget' | 'HTTPRouteGroup' | 'TCPRoute', string>>;
  /** Between source and destination in the name of a TrafficTarget: `-to-`. */
  readonly joint: string;
  /** At the end of the name of an HTTPRouteGroup: `-routes`. */
  readonly suffix: string;
  /** Small maps on one line: `{ kind: ServiceAccount, name: cart }`. */
  readonly flow: boolean;
}

export function houseStyleOf(smi: readonly RawObject[], files: ReadonlyMap<string, string>): HouseStyle {
  const ofKind = (kind: string): readonly RawObject[] => smi.filter((raw) => raw.kind === kind);
  const version = (kind: string, fallback: string): string =>
    mostCommon(ofKind(kind).map(({ apiVersion }) => apiVersion)) ?? fallback;
  const joints = ofKind('TrafficTarget').flatMap(
    ({ metadata }) => /-(?:to|access|calls|into|from)-/.exec(metadata.name)?.[0] ?? [],
  );
  const suffixes = ofKind('HTTPRouteGroup').flatMap(
    ({ metadata }) => /(?:-service)?-(?:routes|route|group|matches)$/.exec(metadata.name)?.[0] ?? [],
  );
  const text = [...files.values()].join('\n');
  return {
    apiVersions: {
      TrafficTarget: version('TrafficTarget', 'access.smi-spec.io/v1alpha4'),
      HTTPRouteGroup: version('HTTPRouteGroup', 'specs.smi-spec.io/v1alpha4'),
      TCPRoute: 'specs.smi-spec.io/v1alpha4',
    },
    joint: mostCommon(joints.filter((joint) => joint !== '-from-')) ?? '-to-',
    suffix: mostCommon(suffixes) ?? '-routes',
    flow: count(text, /^\s*(?:metadata|destination): *\{/gm) > count(text, /^\s*(?:metadata|destination): *$/gm),
  };
}

function mostCommon(values: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([a, x], [b, y]) => y - x || (a > b ? -1 : 1))[0]?.[0];
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}
