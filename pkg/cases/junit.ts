import type { CaseResult } from './run-cases.ts';

/** JUnit's XML, as CI systems read it: one suite per file of cases. */
export function toJunit(suites: ReadonlyMap<string, readonly CaseResult[]>): string {
  const all = [...suites.values()].flat();
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="tulle test" tests="${all.length}" failures="${failures(all)}">`,
  ];
  for (const [file, results] of suites) {
    lines.push(`  <testsuite name="${escape(file)}" tests="${results.length}" failures="${failures(results)}">`);
    for (const { case: one, faults } of results) {
      const head = `    <testcase classname="${escape(file)}" name="${escape(one.name)}"`;
      const [first] = faults;
      if (first === undefined) lines.push(`${head}/>`);
      else {
        lines.push(`${head}>`, `      <failure message="${escape(first)}">${escape(faults.join('\n'))}</failure>`);
        lines.push('    </testcase>');
      }
    }
    lines.push('  </testsuite>');
  }
  return [...lines, '</testsuites>'].join('\n');
}

function failures(results: readonly CaseResult[]): number {
  return results.filter(({ faults }) => faults.length > 0).length;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
};

/** What XML can't have at all becomes a question mark. */
function escape(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '?')
    .replace(/[&<>"\n]/g, (char) => entities[char] ?? char);
}
