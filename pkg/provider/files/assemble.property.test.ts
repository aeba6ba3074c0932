import assert from 'node:assert/strict';
import fc from 'fast-check';
import { scenarioConfig } from '../../../test/support/scenario.ts';
import { createAssembler } from './assemble.ts';
import type { MeshRead } from './mesh-read.ts';
import type { SourceFile } from './placed-objects.ts';
import { parseDocuments } from './yaml-documents.ts';

const name = fc.constantFrom('a', 'b', 'c', 'd');
const space = fc.constantFrom('n', 'm');
const meta = fc.tuple(space, name).map(([namespace, own]) => `metadata: {name: ${own}, namespace: ${namespace}}`);

const document = fc.oneof(
  fc
    .tuple(meta, fc.constantFrom('80', '90', '"x"'))
    .map(([m, port]) => `apiVersion: v1\nkind: Service\n${m}\nspec: {ports: [{port: ${port}}]}\n`),
  fc
    .tuple(meta, fc.constantFrom('10.96.7.7', '10.96.7.8', 'None'))
    .map(([m, ip]) => `apiVersion: v1\nkind: Service\n${m}\nspec: {clusterIP: ${ip}, ports: [{port: 80}]}\n`),
  fc
    .tuple(meta, name)
    .map(
      ([m, app]) =>
        `apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\n${m}\nspec: {destination: {kind: ServiceAccount, name: ${app}}}\n`,
    ),
  fc.tuple(meta, name).map(([m, value]) => `apiVersion: v1\nkind: ConfigMap\n${m}\ndata: {key: ${value}}\n`),
  fc
    .tuple(name, fc.constantFrom('permissive', 'nonsense'))
    .map(
      ([own, mode]) =>
        `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${own}, annotations: {tulle.dev/mode: ${mode}}}\n`,
    ),
  meta.map((m) => `apiVersion: v1\nkind: Secret\n${m}\n`),
  fc.constantFrom('# nothing\n', 'kind: [\n', 'just: text\n'),
);
const podText = fc.record({ namespace: space, own: name, ip: fc.nat(9) }).map(({ namespace, own, ip }) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: own, namespace },
    status: { podIP: `10.0.0.${ip}` },
  }),
);
const text = fc.array(document, { maxLength: 3 }).map((documents) => documents.join('---\n'));
const file = fc.integer({ min: 0, max: 24 }).map((i) => `file-${i}.yaml`);
const edit = fc.record({ file, text: fc.option(text), isPod: fc.boolean(), pod: podText });

function put(files: readonly SourceFile[], path: string, content: string | null): readonly SourceFile[] {
  const before = files.find((each) => each.name === path);
  const rest = files.filter((each) => each !== before);
  if (content === null) return rest;
  const next = { name: path, text: content, documents: parseDocuments(content, before?.documents) };
  return [...rest, next].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** All that a read says; of what is found by asking, some. */
function plain(read: MeshRead): unknown {
  const places = ['Service', 'TrafficTarget', 'ConfigMap'].flatMap((kind) =>
    ['a', 'b'].map((own) => read.locate({ kind, namespace: 'n', name: own }, '/spec')),
  );
  const { snapshot, problems, workloads, configMaps, objects, files } = read;
  return { snapshot, problems, workloads, configMaps, objects, files, places };
}

describe('reading files again', () => {
  it('gives what reading them at once gives', () => {
    fc.assert(
      fc.property(fc.array(edit, { minLength: 40, maxLength: 60 }), (edits) => {
        const following = createAssembler({ config: scenarioConfig });
        let files: readonly SourceFile[] = [];
        let pods: readonly SourceFile[] = [];
        for (const { file: path, text: content, isPod, pod } of edits) {
          if (isPod) pods = put(pods, path, content === null ? null : pod);
          else files = put(files, path, content);
          const read = following.assemble(files, pods);
          assert.deepEqual(plain(read), plain(createAssembler({ config: scenarioConfig }).assemble(files, pods)));
          assert.equal(following.assemble([...files], pods).snapshot, read.snapshot);
        }
      }),
      { numRuns: 20 },
    );
  }).timeout(60_000);
});
