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
  return {
    isMeshed: (name) => byName.get(name)?.meshed ?? true,
    modeOf(name) {
      const own = byName.get(name)?.mode;
      return own === undefined ? meshWide : { mode: own, modeFrom: `namespace ${name}` };
    },
  };
}
