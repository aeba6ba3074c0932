import type { Command } from 'commander';
import type { CheckFlags } from './check.ts';
import { addClusterOptions } from './cluster-flags.ts';
import type { EnforceFlags } from './enforce.ts';
import type { NamespaceFlags } from './namespace.ts';
import { outputOption, toDuration, toWait } from './options.ts';
import type { RunCommand } from './program.ts';

/** The commands for clusters: they work on the current context unless told otherwise. */
export function addClusterCommands(program: Command, run: RunCommand): void {
  addClusterOptions(program.command('check'))
    .description('whether the mesh of a cluster is well, and does what it must: one call let through, one denied')
    .option('--pre', 'before the install: whether the cluster can take it')
    .option('--no-traffic', 'look only: create nothing')
    .option('--image <name>', "for the pods that are tried (default: the control plane's own)")
    .option('--wait <duration>', 'how long these pods may take to start', toWait, '90s')
    .addOption(outputOption())
    .action(async (options: CheckFlags) =>
      run(async (context) => (await import('./check.ts')).runCheck(context, options)),
    );

  const namespace = program
    .command('namespace')
    .alias('ns')
    .description('which namespaces of a cluster are in the mesh');
  addClusterOptions(namespace.command('add'))
    .description('put namespaces into the mesh: their pods get sidecars when they start anew')
    .argument('<namespaces...>')
    .option('--disable-sidecar-injection', 'known to the mesh, but without sidecars unless a pod asks for one')
    .addOption(outputOption())
    .action(async (names: string[], options: NamespaceFlags & { disableSidecarInjection?: boolean }) =>
      run(async (context) => (await import('./namespace.ts')).addNamespaces(context, names, options)),
    );
  addClusterOptions(namespace.command('remove'))
    .description('take namespaces out of the mesh')
    .argument('<namespaces...>')
    .addOption(outputOption())
    .action(async (names: string[], options: NamespaceFlags) =>
      run(async (context) => (await import('./namespace.ts')).removeNamespaces(context, names, options)),
    );
  addClusterOptions(namespace.command('ignore'))
    .description('keep namespaces out of any mesh, whatever else they say')
    .argument('<namespaces...>')
    .addOption(outputOption())
    .action(async (names: string[], options: NamespaceFlags) =>
      run(async (context) => (await import('./namespace.ts')).ignoreNamespaces(context, names, options)),
    );
  addClusterOptions(namespace.command('list'))
    .description('those that are in a mesh')
    .addOption(outputOption())
    .action(async (options: NamespaceFlags) =>
      run(async (context) => (await import('./namespace.ts')).listNamespaces(context, options)),
    );

  addClusterOptions(program.command('enforce'))
    .description('let a namespace deny what no TrafficTarget allows, after a look at what that would be')
    .argument('<namespace>')
    .option('--since <duration>', 'how far back to look at what was called', toDuration, '1h')
    .option('--yes', 'do not ask')
    .addOption(outputOption())
    .action(async (name: string, options: EnforceFlags) =>
      run(async (context) => (await import('./enforce.ts')).runEnforce(context, name, options)),
    );
}
