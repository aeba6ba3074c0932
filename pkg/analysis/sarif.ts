import type { Problem, Severity } from '../problem/problem.ts';
import type { Suppressed } from './suppress.ts';

const levels: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', info: 'note' };

/** SARIF 2.1.0 (OASIS), as code scanning of forges reads it. `uriOf`: a file as a relative URI reference. */
export function toSarif(
  problems: readonly Problem[],
  suppressed: readonly Suppressed[],
  version: string,
  uriOf: (file: string) => string,
): object {
  const all = [...problems, ...suppressed.map(({ problem }) => problem)];
  const ids = [...new Set(all.map(({ reason }) => reason))].sort();
  const toResult = (problem: Problem): object => {
    const { reason, severity, message, fix, resource, field, position } = problem;
    const object = resource.name === '' ? resource.kind : `${resource.kind} ${resource.namespace}/${resource.name}`;
    return {
      ruleId: reason,
      ruleIndex: ids.indexOf(reason),
      level: levels[severity],
      message: { text: `${object}: ${message}. Fix: ${fix}.` },
      ...(position && {
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: uriOf(position.file) },
              region: { startLine: position.line, startColumn: position.column },
            },
            logicalLocations: [{ fullyQualifiedName: `${object}${field}`, kind: 'object' }],
          },
        ],
      }),
      partialFingerprints: { tulle: `${reason} ${object} ${field}` },
    };
  };
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'tulle', version, rules: ids.map((id) => ({ id, name: id })) } },
        columnKind: 'utf16CodeUnits',
        results: [
          ...problems.map(toResult),
          ...suppressed.map(({ problem, justification }) => ({
            ...toResult(problem),
            suppressions: [{ kind: 'inSource', justification }],
          })),
        ],
      },
    ],
  };
}
