import { resolve } from 'node:path';
import { toMatrix } from '../cases/access-matrix.ts';
import { accessTable } from '../cases/access-table.ts';
import { toJunit } from '../cases/junit.ts';
import { decodeCases } from '../cases/policy-case.ts';
import { type CaseResult, coverageOf, type CoveredRule, runCase } from '../cases/run-cases.ts';
import { type MeshFacts, placeOf } from '../explain/mesh-facts.ts';
import type { Position } from '../problem/problem.ts';
import { readSource } from '../provider/files/read-mesh.ts';
import { placeOf as placeInDocument } from '../provider/files/yaml-documents.ts';
import type { ClusterFlags } from './cluster-flags.ts';
import { CliError, type CliContext } from './context.ts';
import type { MeshConfigFlags } from './mesh-config.ts';
import { displayPlace, orTwo, readInput, writeJson, writeLines } from './mesh-input.ts';
import { paintFor } from './table.ts';
import { writeFile } from './write-file.ts';

export interface TestFlags extends Pick<MeshConfigFlags, 'mode' | 'pathMatch'>, ClusterFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
  readonly matrix?: string;
  readonly coverage: boolean;
  readonly output: 'text' | 'json' | 'junit';
}

type PlacedResult = CaseResult & { readonly at: Position };

/** `tulle test`: 0 all cases hold, 1 one does not, 2 could not run. */
export function runTest(context: CliContext, files: readonly string[], flags: TestFlags): Promise<number> {
  return orTwo(async () => {
    if (files.length === 0 && flags.matrix === undefined) throw new CliError('write tulle test CASES… -f POLICY…', 2);
    if (files.length > 0 && flags.matrix === '-' && flags.output !== 'text')
      throw new CliError(`--matrix - and -o ${flags.output} would both write to stdout: name a file for the matrix`, 2);
    const { facts } = await readInput(context, flags);
    const results: PlacedResult[] = [];
    for (const file of files) results.push(...(await runFile(context, facts, file)));
    if (files.length > 0 && results.length === 0) throw new CliError(`there is no case in ${files.join(', ')}`, 2);
    if (flags.matrix !== undefined) writeMatrix(context, facts, flags.matrix);
    const rules = coverageOf(facts, results);
    if (results.length > 0) report(context, facts, results, rules, flags);
    return results.some(({ faults }) => faults.length > 0) ? 1 : 0;
  });
}

async function runFile({ cwd }: CliContext, facts: MeshFacts, file: string): Promise<readonly PlacedResult[]> {
  const source = await readSource(file === '-' ? file : resolve(cwd, file));
  if (source.fault) throw new CliError(`${file}: ${source.fault.message}`, 2);
  return source.documents.flatMap((document) => {
    const place = (at: string): Position => ({ file: source.name, ...placeInDocument(document, at) });
    if (document.fault) {
      const { message, line, column } = document.fault;
      throw new CliError(`${displayPlace(cwd, { file: source.name, line, column })}: ${message}`, 2);
    }
    if (document.value === undefined) return [];
    const { cases, faults } = decodeCases(document.value);
    const [fault] = faults;
    if (fault) throw new CliError(`${displayPlace(cwd, place(fault.at))}: ${fault.message}`, 2);
    return cases.map((one) => ({ ...runCase(facts, one), at: place(one.at) }));
  });
}

function writeMatrix(context: CliContext, facts: MeshFacts, file: string): void {
  const text = toMatrix(accessTable(facts));
  if (file === '-') context.stdout.write(text);
  else writeFile(context, file, text);
}

function report(
  context: CliContext,
  facts: MeshFacts,
  results: readonly PlacedResult[],
  rules: readonly CoveredRule[],
  flags: TestFlags,
): void {
  const { cwd } = context;
  const missed = rules.filter(({ covered }) => !covered);
  if (flags.output === 'json') {
    writeJson(context, {
      cases: results.map(({ case: one, faults, explanation, at }) => ({
        name: one.name,
        at,
        ok: faults.length === 0,
        faults,
        answer: explanation?.answer,
      })),
      rules,
    });
    return;
  }
  if (flags.output === 'junit') {
    const suites = new Map<string, PlacedResult[]>();
    for (const result of results) {
      const file = displayPlace(cwd, result.at).replace(/:\d+:\d+$/, '');
      suites.set(file, [...(suites.get(file) ?? []), result]);
    }
    writeLines(context, [toJunit(suites)]);
    return;
  }
  const paint = paintFor(context);
  const failed = results.filter(({ faults }) => faults.length > 0);
  const lines = results.flatMap(({ case: one, faults, at }) =>
    faults.length === 0
      ? [`${paint.good('ok')}    ${one.name}`]
      : [
          `${paint.bad('FAIL')}  ${one.name} ${paint.dim(displayPlace(cwd, at))}`,
          ...faults.map((fault) => `      ${fault}`),
        ],
  );
  if (flags.coverage && missed.length > 0) {
    lines.push('', 'rules that no case used:');
    for (const { name, object } of missed) {
      const at = placeOf(facts, object);
      lines.push(`  ${name}${at ? ` ${paint.dim(displayPlace(cwd, at))}` : ''}`);
    }
  }
  const held = `${results.length - failed.length} of ${results.length} cases hold`;
  lines.push(
    '',
    `${failed.length > 0 ? paint.bad(held) : paint.good(held)}, ${rules.length - missed.length} of ${rules.length} rules used`,
  );
  writeLines(context, lines);
}
