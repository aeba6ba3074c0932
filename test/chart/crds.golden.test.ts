import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { smiKinds } from '../../pkg/smi/kinds.ts';
import { chart, describeWith, template } from './helm.ts';

const kinds = join(import.meta.dirname, '../../pkg/smi');
const copies = join(chart, 'files/crds');
const updating = process.env['UPDATE_GOLDEN'] === '1' && !process.env['CI'];
const folders = readdirSync(kinds).filter((folder) => existsSync(join(kinds, folder, 'crd.yaml')));

describe('the CRDs in the chart', () => {
  for (const folder of folders) {
    it(`${folder}: the same as in pkg/smi`, () => {
      const source = readFileSync(join(kinds, folder, 'crd.yaml'), 'utf8');
      const copy = join(copies, `smi-${folder}.yaml`);
      if (updating) writeFileSync(copy, source);
      const said = existsSync(copy) ? readFileSync(copy, 'utf8') : '';
      assert.ok(said === source, `${copy} differs from pkg/smi/${folder}/crd.yaml: make golden`);
    });
  }

  it('are those of every kind of SMI and of Open Service Mesh, and no other', () => {
    const smi = readdirSync(copies).filter((file) => file.startsWith('smi-'));
    assert.deepEqual(smi.sort(), folders.map((folder) => `smi-${folder}.yaml`).sort());
    assert.equal(folders.length, Object.keys(smiKinds).length);
    const osm = readdirSync(copies).filter((file) => file.startsWith('osm-'));
    assert.equal(osm.length, 8);
    assert.equal(readdirSync(copies).length, smi.length + osm.length);
  });
});

describeWith(['helm'], 'the CRDs that the chart renders', () => {
  it('stay when the release goes, and are the files but for labels and annotations', () => {
    const crds = template().filter(({ kind }) => kind === 'CustomResourceDefinition');
    assert.equal(crds.length, readdirSync(copies).length);
    for (const { metadata } of crds) assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep');
    assert.ok(template({ 'crds.install': false }).every(({ kind }) => kind !== 'CustomResourceDefinition'));
  }).timeout(60_000);

  it('have a status, columns, and no conversion by webhook', () => {
    interface Spec {
      readonly conversion: object;
      readonly versions: readonly { readonly subresources: object; readonly additionalPrinterColumns: object[] }[];
    }
    for (const crd of template().filter(({ kind }) => kind === 'CustomResourceDefinition')) {
      const { conversion, versions } = crd.spec as unknown as Spec;
      assert.deepEqual(conversion, { strategy: 'None' });
      for (const version of versions) {
        assert.deepEqual(version.subresources, { status: {} }, crd.metadata.name);
        assert.ok(version.additionalPrinterColumns.length >= 1, crd.metadata.name);
      }
    }
  }).timeout(60_000);
});
