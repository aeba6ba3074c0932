import type { PolicyMode } from '../policy/inbound.ts';
import type { MeshConfig, Namespace } from './snapshot.ts';

export interface ModeChoice {
  readonly mode: PolicyMode;
  readonly modeFrom: string;
}

export interface Namespaces {
  /** A namespace that nobody declared exists, and is meshed. */
  isMeshed(name: string): boolean;
  /** The destination's namespace decides (DECISIONS S2). */
  modeOf(name: string): ModeChoice;
}

export function indexNamespaces(list: readonly Namespace[], { mode, modeFrom }: MeshConfig): Namespaces {
  const byName = new Map(list.map((namespace) => [namespace.name, namespace]));
  const meshWide = { mode, modeFrom };
  const own = new Map<string, ModeChoice>();
  for (const { name, mode: set } of byName.values()) {
    if (set !== undefined) own.set(name, { mode: set, modeFrom: `namespace ${name}` });
  }
  return {
    isMeshed: (name) => byName.get(name)?.meshed ?? true,
    modeOf: (name) => own.get(name) ?? meshWide,
  };
}
