import { median, quantile } from '../processes.ts';
import { type Goal, type Section, toGoal, toText } from '../report.ts';
import { changeKinds } from './mesh-files.ts';
import { type Engine, engineNames as names, engines, type Repetition, type Results, toName } from './results.ts';

/** Tables of the control plane: changes, storms, memory; each beside the server that only sends bytes. */
export function toSections(results: Results): Section[] {
  return [toChanges(results), toStorms(results), toMemory(results)];
}

function toChanges(results: Results): Section {
  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const [cell, byEngine] of results) {
    const { shape } = cell;
    const name = toName(cell);
    for (const kind of changeKinds) {
      const of = (engine: Engine): Repetition['changes'] extends ReadonlyMap<unknown, infer R> ? R : never =>
        (byEngine.get(engine) ?? []).flatMap((repetition) => repetition.changes.get(kind) ?? []);
      const last = (engine: Engine): number => median(of(engine).map((round) => round.last));
      for (const engine of engines) {
        const all = of(engine);
        const m = (field: 'p50' | 'p99' | 'last' | 'bytes' | 'responses' | 'cpu' | 'pause'): number =>
          median(all.map((round) => round[field]));
        rows.push([
          name,
          kind,
          names[engine],
          ...[
            m('p50'),
            m('p99'),
            m('last'),
            quantile(
              all.map((round) => round.last),
              0.99,
            ),
            m('cpu') * 1000,
          ].map(toText),
          m('responses').toFixed(0),
          toText(m('bytes') / Math.max(1, m('responses'))),
          toText(m('pause')),
          all.reduce((total, round) => total + round.strays, 0).toFixed(0),
          engine === 'tulle' ? toText(last('tulle') / last('peer')) : '',
        ]);
      }
      const strays = of('tulle').reduce((total, round) => total + round.strays, 0);
      if (strays > 0) goals.push(toGoal(`${name} ${kind}: pushes to proxies that it does not concern, 0`, strays, 0));
      if (shape.proxies === 10) {
        if (kind !== 'service removed') {
          goals.push(toGoal(`${name} ${kind}: file renamed to last ACK, ≤ 10 ms`, last('tulle'), 10, ' ms'));
        }
      } else {
        goals.push(toGoal(`${name} ${kind}: last ACK, ≤ 2 × bytes only`, last('tulle') / last('peer'), 2, ' ×'));
      }
    }
  }
  return {
    title: 'Control plane: one change',
    text: 'From the rename of a file to the ACKs of the proxies, milliseconds; medians over the changes. *Bytes only*: a grpc-js server that has the bytes of the answers beforehand and sends them when its own file is renamed. A file that vanishes counts for 50 ms more, because editors replace files so: *service removed* has them in it. *Strays*: pushes to proxies that the change does not concern; entries of the directory that all share are not counted when a service comes or goes.',
    heads: [
      ...['mesh', 'change', 'server', 'p50', 'p99', 'last', 'last, p99 of changes', 'CPU ms'],
      ...['responses', 'bytes each', 'longest pause', 'strays', 'ratio of last'],
    ],
    rows,
    goals,
  };
}

function toStorms(results: Results): Section {
  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const [{ shape }, byEngine] of results) {
    for (const storm of ['cold', 'reconnect'] as const) {
      const of = (engine: Engine): Repetition['cold'][] =>
        (byEngine.get(engine) ?? []).map((repetition) => repetition[storm]);
      const last = (engine: Engine): number => median(of(engine).map(({ times }) => quantile(times, 1)));
      for (const engine of engines) {
        const all = of(engine);
        rows.push([
          toName({ shape }),
          storm === 'cold' ? 'cold' : 'reconnect with versions',
          names[engine],
          toText(median(all.map(({ times }) => median(times)))),
          toText(median(all.map(({ times }) => quantile(times, 0.99)))),
          toText(last(engine)),
          toText(median(all.map(({ cpu }) => cpu))),
          toText(median(all.map(({ bytes }) => bytes)) / shape.proxies / 1024),
          toText(median(all.map((each) => each.pause))),
          all.reduce((total, { missing }) => total + missing, 0).toFixed(0),
          all.reduce((total, { again }) => total + again, 0).toFixed(0),
          engine === 'tulle' ? toText(last('tulle') / last('peer')) : '',
        ]);
      }
      if (shape.proxies > 10) {
        goals.push(
          toGoal(`${toName({ shape })} ${storm}: last proxy, ≤ 2 × bytes only`, last('tulle') / last('peer'), 2, ' ×'),
        );
      }
    }
  }
  return {
    title: 'Control plane: all connect at once',
    text: 'From the start of the storm until each proxy has everything, milliseconds. Certificates of the workloads are issued in the cold storm; the other server has none to issue. *Made again*: connections that were cut off, and tried again as sidecars do. Plaintext on the loopback, all proxies in one process on the same two cores.',
    heads: [
      ...['mesh', 'storm', 'server', 'p50', 'p99', 'last', 'CPU s', 'KiB per proxy', 'longest pause', 'incomplete'],
      ...['made again', 'ratio of last'],
    ],
    rows,
    goals,
  };
}

function toMemory(results: Results): Section {
  const rows: string[][] = [];
  const goals: Goal[] = [];
  for (const [{ shape }, byEngine] of results) {
    const limit = 120 + 0.4 * shape.proxies;
    for (const engine of engines) {
      const all = byEngine.get(engine) ?? [];
      const m = (field: 'settled' | 'peak' | 'idle'): number => median(all.map((repetition) => repetition[field]));
      rows.push([
        toName({ shape }),
        names[engine],
        ...[m('settled'), m('peak'), limit, m('idle')].map((value) => value.toFixed(1)),
      ]);
      if (engine === 'tulle') {
        goals.push(toGoal(`${toName({ shape })}: settled, ≤ ${limit} MiB`, m('settled'), limit, ' MiB'));
      }
    }
  }
  return {
    title: 'Control plane: memory and idling',
    text: 'Resident memory some seconds after the last change, and the most that the process ever had; what it costs to do nothing. The other server holds the files and the model as well, so its memory is no measure.',
    heads: ['mesh', 'server', 'settled MiB', 'peak MiB', 'allowed MiB', 'idle, CPU ms per s'],
    rows,
    goals,
  };
}
