import type { Locate, MeshConfig, MeshSnapshot } from '../../catalog/snapshot.ts';
import type { Problem } from '../../problem/problem.ts';
import type { ConfigMap, Workload } from './workload.ts';

/** What the files say, at one moment. What did not change is the same reference as in the read before. */
export interface MeshRead {
  readonly snapshot: MeshSnapshot;
  /**
   * Of reading: files, syntax, duplicates, kinds, and the Kubernetes objects. Positions are set. SMI objects are
   * decoded by the catalog: `withPositions(problems, locate)` gives its problems their places.
   */
  readonly problems: readonly Problem[];
  readonly locate: Locate;
  readonly workloads: readonly Workload[];
  readonly configMaps: readonly ConfigMap[];
  /** How many objects were read, whatever their kind: "14 documents". */
  readonly objects: number;
  /** Text of each file by its name in positions: for comments, and to write in the style of what is there. */
  readonly files: ReadonlyMap<string, string>;
}

export interface ReadOptions {
  /** Files, directories (all below: *.yaml, *.yml, *.json; names with a leading dot are passed over), `-` for stdin. */
  readonly inputs: readonly string[];
  /**
   * Directories of running pods, one Pod object as JSON per file: they alone are the snapshot's pods then. Without:
   * the Pods in `inputs`, and those that the workloads would have.
   */
  readonly podDirs?: readonly string[];
  /** For objects that name none. `default` when absent. */
  readonly defaultNamespace?: string;
  readonly config: MeshConfig;
}
