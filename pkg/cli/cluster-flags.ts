import { type Command, Option } from 'commander';
import { toName } from './options.ts';

/** Which cluster is meant, and which mesh in it. */
export interface ClusterFlags {
  /** Of the kubeconfig; its current one when absent. */
  readonly context?: string;
  readonly kubeconfig?: string;
  /** `tulle-system` when absent. */
  readonly controlNamespace?: string;
  /** `osm` when absent: labels of OSM's users name it. */
  readonly meshName?: string;
}

export const defaultControlNamespace = 'tulle-system';
export const defaultMeshName = 'osm';

/** For commands that work on files or on this machine too: one of these flags says that a cluster is meant. */
export function meansCluster({ context, kubeconfig }: ClusterFlags): boolean {
  return context !== undefined || kubeconfig !== undefined;
}

/** These flags alone, of a command that has more. */
export function clusterFlagsOf({ context, kubeconfig, controlNamespace, meshName }: ClusterFlags): ClusterFlags {
  return {
    ...(context !== undefined && { context }),
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(controlNamespace !== undefined && { controlNamespace }),
    ...(meshName !== undefined && { meshName }),
  };
}

export function addClusterOptions(command: Command): Command {
  const options = [
    new Option('--context <name>', 'a context of the kubeconfig'),
    new Option('--kubeconfig <file>', 'where it is (default: $KUBECONFIG, ~/.kube/config)'),
    new Option('--control-namespace <name>', 'namespace of the control plane (default: tulle-system)').argParser(
      toName,
    ),
    new Option('--mesh-name <name>', 'name of the mesh (default: osm)').argParser(toName),
  ];
  for (const option of options) command.addOption(option.helpGroup('Which cluster:'));
  return command;
}
