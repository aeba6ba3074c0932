import { type Command, Option } from 'commander';
import type { AnalyzeFlags } from './analyze.ts';
import { addClusterOptions } from './cluster-flags.ts';
import type { DiffFlags } from './diff.ts';
import type { ExplainFlags } from './explain.ts';
import { ofMeshOr, modeOption, pathMatchOption } from './mesh-config.ts';
import { collect, outputOption, toDuration, toName, toNames } from './options.ts';
import type { RunCommand } from './program.ts';
import type { SuggestFlags } from './suggest.ts';
import type { TestFlags } from './test.ts';
import type { WhatIfFlags } from './whatif.ts';

/** The commands that answer questions about policy: they change nothing. */
export function addPolicyCommands(program: Command, run: RunCommand): void {
  withInput(program.command('explain'))
    .description('why a call is allowed, denied or routed as it is')
    .argument('[words...]', 'SOURCE DESTINATION[:PORT] [METHOD PATH]')
    .usage('[options] SOURCE DESTINATION[:PORT] [METHOD PATH]')
    .option('-H, --header <line>', "header of the request, 'name: value'; may be repeated", collect, [])
    .addOption(new Option('--expect <answer>', 'exit with 1 unless this is the answer').choices(['allow', 'deny']))
    .option('--trace <id>', 'explain the calls of a trace that the running mesh recorded')
    .addOption(outputOption())
    .action(async (words: string[], options: ExplainFlags) =>
      run(async (context) => (await import('./explain.ts')).runExplain(context, words, options)),
    );

  withFiles(program.command('analyze'))
    .description('find what is wrong in YAML, and what is likely not meant')
    .argument('[files...]', 'files, directories, or - for stdin')
    .addOption(outputOption(['text', 'json', 'sarif']))
    .action(async (files: string[], options: AnalyzeFlags) =>
      run(async (context) => (await import('./analyze.ts')).runAnalyze(context, files, options)),
    );

  withInput(program.command('test'))
    .description('hold policy against cases: who may call whom, and who may not')
    .argument('[cases...]', 'files of cases')
    .option('--matrix <file>', 'write who may call whom, per route, as Markdown; - for stdout')
    .option('--no-coverage', 'do not list the rules that no case used')
    .addOption(outputOption(['text', 'json', 'junit']))
    .action(async (cases: string[], options: TestFlags) =>
      run(async (context) => (await import('./test.ts')).runTest(context, cases, options)),
    );

  addClusterOptions(
    program
      .command('diff')
      .description('who gained and who lost access between two policies, or by what is applied to a cluster')
      .argument('<paths...>', 'OLD NEW, files or directories; with --context NEW alone')
      .usage('[options] OLD NEW | NEW --context NAME')
      .addOption(namespaceOption())
      .addOption(modeOption(ofMeshOr))
      .addOption(pathMatchOption(ofMeshOr)),
  )
    .addOption(outputOption())
    .action(async (paths: string[], options: DiffFlags) =>
      run(async (context) => (await import('./diff.ts')).runDiff(context, paths, options)),
    );

  withFiles(program.command('whatif'))
    .description('replay what the running mesh recorded against changed policy: who would be refused')
    .option('--since <duration>', 'how far back', toDuration, '10m')
    .addOption(outputOption())
    .action(async (options: WhatIfFlags) =>
      run(async (context) => (await import('./whatif.ts')).runWhatIf(context, options)),
    );

  addClusterOptions(program.command('suggest'))
    .description('write the policy that lets pass what the running mesh refused')
    .option('--trace <id>', 'only the calls of this trace')
    .option('-n, --namespace <name>', 'only calls to Services of this namespace', toName)
    .option('--since <duration>', 'how far back', toDuration, '10m')
    .addOption(
      new Option('--paths <how>', 'how wide: the paths as seen, segments that vary, or all below a folder')
        .choices(['exact', 'segment', 'prefix'])
        .default('exact'),
    )
    .addOption(outputOption(['yaml', 'json']))
    .action(async (options: SuggestFlags) =>
      run(async (context) => (await import('./suggest.ts')).runSuggest(context, options)),
    );
}

/** Files, or the running mesh. */
function withInput(command: Command): Command {
  return withFiles(command, "; the running mesh's by default");
}

function withFiles(command: Command, orElse = ''): Command {
  return addClusterOptions(
    command
      .option('-f, --file <path>', `file, directory or - for stdin; may be repeated${orElse}`, collect, [])
      .addOption(namespaceOption())
      .addOption(modeOption(ofMeshOr))
      .addOption(pathMatchOption(ofMeshOr)),
  );
}

function namespaceOption(): Option {
  return new Option(
    '-n, --namespace <name>',
    'for objects that name none; what to read of a cluster where not all may be read: a or a,b',
  ).argParser(toNames);
}
