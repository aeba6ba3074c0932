import type { Severity } from '../problem/problem.ts';
import type { CliContext } from './context.ts';
import type { LiveDisplay } from './live-display.ts';
import { messageOf, renderPicture, stateOf, type MeshPicture } from './mesh-view.ts';
import { toProblemLine } from './problem-line.ts';
import { createPaint } from './table.ts';

const tableMs = 5_000;

/** Where nobody watches a terminal: one line for each change, and the table now and then. */
export function createPlainDisplay({ stdout }: CliContext, now: () => number): LiveDisplay {
  const paint = createPaint(false);
  const pods = new Map<string, string>();
  let problems = new Map<string, Severity>();
  let pointed = false;
  let shown = now();

  return {
    say: (line) => void stdout.write(`${line}\n`),
    show(picture) {
      for (const line of changedPods(picture, pods)) stdout.write(`${line}\n`);
      const lines = new Map(picture.problems.map((problem) => [toProblemLine(problem), problem.severity]));
      for (const line of lines.keys()) if (!problems.has(line)) stdout.write(`${line}\n`);
      for (const [line, severity] of problems)
        if (!lines.has(line) && severity !== 'info') stdout.write(`cured: ${line}\n`);
      if (!pointed && picture.analyze !== undefined && picture.problems.some(({ severity }) => severity !== 'info')) {
        pointed = true;
        stdout.write(`${picture.analyze} tells what else is likely not meant\n`);
      }
      problems = lines;
      if (now() - shown < tableMs || picture.flows.length === 0) return;
      shown = now();
      // Problems have had their lines.
      stdout.write(`\n${renderPicture({ ...picture, problems: [] }, paint, 200).join('\n')}\n\n`);
    },
  };
}

/** The same as data: one JSON object per line. */
export function createJsonDisplay({ stdout }: CliContext, now: () => number): LiveDisplay {
  const pods = new Map<string, string>();
  let problems = '[]';
  let shown = now();
  const write = (type: string, value: object): void => void stdout.write(`${JSON.stringify({ type, ...value })}\n`);

  return {
    say: (line) => write('notice', { message: line }),
    show(picture) {
      for (const { plan, status } of picture.pods) {
        const key = `${plan.namespace}/${plan.name}`;
        const text = stateOf(status);
        if (pods.get(key) === text) continue;
        pods.set(key, text);
        write('pod', {
          pod: key,
          owner: plan.owner,
          state: text,
          ready: status.ready,
          addresses: status.addresses,
          message: messageOf(status),
        });
      }
      const text = JSON.stringify(picture.problems);
      if (text !== problems) write('problems', { problems: picture.problems });
      problems = text;
      if (now() - shown < tableMs) return;
      shown = now();
      write('flows', { flows: picture.flows, splits: picture.report?.splits ?? [] });
    },
  };
}

function changedPods({ pods }: MeshPicture, known: Map<string, string>): readonly string[] {
  const lines: string[] = [];
  const names = new Set<string>();
  for (const { plan, status } of pods) {
    const name = `${plan.namespace}/${plan.name}`;
    names.add(name);
    const state = stateOf(status);
    if (known.get(name) === state) continue;
    known.set(name, state);
    const addresses = status.ready ? status.addresses.map(({ url }) => ` ${url}`).join('') : '';
    const message = messageOf(status);
    lines.push(`${name}: ${state}${addresses}${message === '' ? '' : `: ${message}`}`);
  }
  for (const name of known.keys()) {
    if (names.has(name)) continue;
    known.delete(name);
    lines.push(`${name}: gone`);
  }
  return lines;
}
