import { Command, CommanderError, Help, Option } from 'commander';
import { CliError, type CliContext } from './context.ts';
import { addConfigOptions, type MeshConfigFlags } from './mesh-config.ts';
import { addClusterCommands } from './cluster-commands.ts';
import { addClusterOptions, type ClusterFlags } from './cluster-flags.ts';
import { collect, collectPort, outputOption, toName, toPort, toUrl, toWait } from './options.ts';
import { addPolicyCommands } from './policy-commands.ts';

/** Runs one command; its exit code: 0 well, 1 not, 2 asked for wrongly. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<number> {
  let exitCode = 0;
  const program = createProgram(async (command) => {
    exitCode = await command(context);
  })
    .version(context.version)
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    });
  for (const command of everyCommand(program)) {
    command.exitOverride().configureOutput(program.configureOutput());
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof CliError) {
      context.stderr.write(`tulle: ${error.message}\n`);
      return error.exitCode;
    }
    context.stderr.write(`tulle: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** Runs a command in its surroundings; the tests of the docs have none. */
export type RunCommand = (command: (context: CliContext) => Promise<number>) => Promise<void>;

/** The commands. Each loads its own code only when it runs: `tulle --help` stays fast. */
export function createProgram(run: RunCommand = () => Promise.resolve()): Command {
  const program = new Command('tulle')
    .description('A service mesh from SMI YAML, on this machine and on Kubernetes.')
    .showHelpAfterError('(see --help)')
    .configureHelp({
      // An empty list is no default that a reader needs to know.
      optionDescription: (option) =>
        Help.prototype.optionDescription.call(new Help(), option).replace(' (default: [])', ''),
    })
    .enablePositionalOptions();

  program.commandsGroup('A mesh on this machine:');
  addMeshOptions(program.command('up'))
    .description('run the workloads of YAML files as a mesh of processes on this machine')
    .requiredOption('-f, --file <path...>', 'files, directories, or - for stdin')
    .action((options: UpFlags) => run(async (context) => (await import('./up.ts')).runUp(context, options)));

  addClusterOptions(addMeshOptions(program.command('demo')))
    .description('run the bookstore in a mesh on this machine, or in a cluster')
    .option('--kubernetes', 'in the cluster of the kubeconfig, where Tulle is installed')
    .option('--registry <host>', 'with --kubernetes: where its images are, in place of docker.io')
    .option('--keep', 'with --kubernetes: leave it there at the end')
    .argument('[dir]', 'where its YAML is, or is put; a new directory by default')
    .option('--summary <file>', 'write what held and what did not as JSON; exit with 1 unless all did')
    .action(async (dir: string | undefined, options: DemoFlags) =>
      run(async (context) =>
        options.kubernetes === true
          ? (await import('./cluster-demo.ts')).runClusterDemo(context, dir, options)
          : (await import('./demo.ts')).runDemo(context, dir, options),
      ),
    );

  program
    .command('run')
    .description('run a program as one more workload of a running mesh')
    .requiredOption('--as <namespace/serviceaccount>', 'who it is')
    .option('-f, --file <path>', 'the mesh that runs on these files, when there are several', collect, [])
    .argument('<command...>', 'the program and its arguments, after --')
    .passThroughOptions()
    .action(async (command: string[], options: { as: string; file: string[] }) =>
      run(async (context) => (await import('./run.ts')).runAs(context, command, options)),
    );

  addConfigOptions(program.command('controller'))
    .description('run the control plane alone')
    .requiredOption('-f, --file <path...>', 'files or directories')
    .option('--port <number>', 'port of the page and the API', toPort)
    .addOption(xdsAuthOption())
    .option('--xds-port <number>', 'port of xDS', toPort, 15010)
    .option('--otlp <url>', 'send traces there as well', toUrl)
    .option('-n, --namespace <name>', 'for objects that name none', toName, 'default')
    .action(async (options: ControllerFlags) =>
      run(async (context) => (await import('./controller.ts')).runControllerCommand(context, options)),
    );

  const proxy = program.command('proxy').description('what the sidecars of a running mesh have');
  proxy
    .command('status')
    .description('whether each sidecar has the newest state, and what it refused')
    .option('-f, --file <path>', 'the mesh that runs on these files', collect, [])
    .option('-n, --namespace <name>', 'of a cluster: only the pods of this namespace', toName)
    .addOption(outputOption())
    .action(async (options: ProxyFlags) =>
      run(async (context) => (await import('./proxy.ts')).proxyStatus(context, options)),
    );
  proxy
    .command('config')
    .description('the policy in force in a sidecar')
    .argument('[pod]', 'namespace/name, or the start of it; all by default')
    .option('-f, --file <path>', 'the mesh that runs on these files', collect, [])
    .option('-n, --namespace <name>', 'of a cluster: the namespace of the pod', toName)
    .addOption(outputOption())
    .action(async (pod: string | undefined, options: ProxyFlags) =>
      run(async (context) => (await import('./proxy.ts')).proxyConfig(context, pod, options)),
    );

  for (const command of proxy.commands) addClusterOptions(command);
  program.commandsGroup('Questions about policy, of files, of this machine, or of a cluster:');
  addPolicyCommands(program, run);
  program.commandsGroup('A mesh in a cluster:');
  addClusterCommands(program, run);
  return program;
}

export interface UpFlags extends MeshConfigFlags {
  readonly file: readonly string[];
  readonly namespace: string;
  readonly sidecar: 'node' | 'envoy';
  readonly isolation: 'auto' | 'isolated' | 'proxy';
  readonly egressLoopback: readonly number[];
  readonly image: readonly string[];
  readonly runFor?: string;
  readonly logs?: boolean;
  readonly otlp?: string;
  readonly port?: number;
  readonly output: 'text' | 'json';
}

export interface ControllerFlags extends MeshConfigFlags {
  readonly file: readonly string[];
  readonly port?: number;
  readonly xdsAuth: 'none';
  readonly xdsPort: number;
  readonly otlp?: string;
  readonly namespace: string;
}

export interface DemoFlags extends UpFlags, ClusterFlags {
  readonly summary?: string;
  readonly kubernetes?: boolean;
  readonly registry?: string;
  readonly keep?: boolean;
}

export interface ProxyFlags extends ClusterFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
  readonly output: 'text' | 'json';
}

function addMeshOptions(command: Command): Command {
  return addConfigOptions(command)
    .option('-n, --namespace <name>', 'for objects that name none', toName, 'default')
    .addOption(new Option('--sidecar <kind>', 'the data plane').choices(['node', 'envoy']).default('node'))
    .addOption(
      new Option('--isolation <kind>', 'how workloads are kept apart')
        .choices(['auto', 'isolated', 'proxy'])
        .default('auto'),
    )
    .option(
      '--egress-loopback <port>',
      'with --egress allow: port of this machine that isolated workloads reach as host.tulle.internal; may be repeated',
      collectPort,
      [],
    )
    .option('--image <name=program>', 'local program for the containers of an image; may be repeated', collect, [])
    .option('--run-for <duration>', 'end by itself after 20s, 2m, …', toWait)
    .option('--logs', 'print what all processes print')
    .option('--otlp <url>', 'send traces there as well: http://localhost:4318', toUrl)
    .option('--port <number>', 'port of the page', toPort)
    .addOption(outputOption());
}

/** Said, not assumed: without tokens, everybody on this machine gets what they ask for, keys included (DECISIONS I4). */
function xdsAuthOption(): Option {
  const option = new Option('--xds-auth <kind>', 'who may ask for configuration; none: everybody on this machine');
  return option.choices(['none']).makeOptionMandatory();
}
