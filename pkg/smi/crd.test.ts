import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { smiKinds } from './kinds.ts';

const root = import.meta.dirname;

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly minProperties?: number;
  readonly pattern?: string;
  readonly nullable?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly subresources: object;
  readonly additionalPrinterColumns: readonly { name: string }[];
  readonly schema: { readonly openAPIV3Schema: Schema };
}

interface Crd {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly kind: string; readonly plural: string; readonly shortNames: readonly string[] };
    readonly conversion: object;
    readonly versions: readonly Version[];
  };
}

function crdOf(kind: string): Crd {
  const folder = kind.replace(/(?<=[a-z])(?=[A-Z])|(?<=P)(?=Route)/g, '-').toLowerCase();
  return parse(readFileSync(join(root, folder, 'crd.yaml'), 'utf8')) as Crd;
}

/** What an API server with this schema would say against a value: wrong values, and fields that it would drop. */
function faults(value: unknown, schema: Schema, at: string): string[] {
  if (schema['x-kubernetes-preserve-unknown-fields']) return [];
  if (schema['x-kubernetes-int-or-string']) {
    if (Number.isInteger(value)) return [];
    const matches = typeof value === 'string' && new RegExp(schema.pattern ?? '').test(value);
    return matches ? [] : [`${at}: neither integer nor such text`];
  }
  if (value === null) return schema.nullable ? [] : [`${at}: null`];
  switch (schema.type) {
    case 'string':
      return typeof value === 'string' ? [] : [`${at}: not a string`];
    case 'integer': {
      const { minimum = -Infinity, maximum = Infinity } = schema;
      return Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum
        ? []
        : [`${at}: no integer`];
    }
    case 'array': {
      const { items } = schema;
      if (!Array.isArray(value) || !items || value.length < (schema.minItems ?? 0)) return [`${at}: no such list`];
      return value.flatMap((item, i) => faults(item, items, `${at}/${i}`));
    }
    case 'object': {
      if (typeof value !== 'object' || Array.isArray(value)) return [`${at}: not an object`];
      if (at === '/metadata') return [];
      const missing = (schema.required ?? []).filter((name) => !(name in value));
      const few = Object.keys(value).length < (schema.minProperties ?? 0) ? [`${at}: too few`] : [];
      const inner = Object.entries(value).flatMap(([name, field]) => {
        const below = schema.properties?.[name] ?? schema.additionalProperties;
        return below ? faults(field, below, `${at}/${name}`) : [`${at}/${name}: would be dropped`];
      });
      return [...missing.map((name) => `${at}/${name}: missing`), ...few, ...inner];
    }
    default:
      return [`${at}: the schema says ${schema.type}`];
  }
}

/** Every node of a structural schema has a type, but for the two extensions (apiextensions v1). */
function assertStructural(schema: Schema, at: string): void {
  const extended = schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields'];
  assert.ok(schema.type !== undefined || extended, `${at} has no type`);
  for (const [name, inner] of Object.entries(schema.properties ?? {})) assertStructural(inner, `${at}/${name}`);
  if (schema.items) assertStructural(schema.items, `${at}/items`);
  for (const name of schema.required ?? []) assert.ok(schema.properties?.[name], `${at} requires ${name}`);
}

describe('CustomResourceDefinitions of SMI', () => {
  for (const { group, kind, versions } of smiKinds) {
    const crd = crdOf(kind);

    it(`${kind}: serves every version and stores the newest`, () => {
      assert.equal(`${crd.apiVersion} ${crd.kind}`, 'apiextensions.k8s.io/v1 CustomResourceDefinition');
      assert.equal(crd.metadata.name, `${crd.spec.names.plural}.${group}`);
      assert.equal(`${crd.spec.group} ${crd.spec.names.kind} ${crd.spec.scope}`, `${group} ${kind} Namespaced`);
      assert.deepEqual(crd.spec.conversion, { strategy: 'None' });
      assert.deepEqual(
        crd.spec.versions.map(({ name, served, storage }) => ({ name, served, storage })),
        versions.map((name, i) => ({ name, served: true, storage: i === versions.length - 1 })),
      );
      for (const { subresources, additionalPrinterColumns } of crd.spec.versions) {
        assert.deepEqual(subresources, { status: {} });
        assert.ok(additionalPrinterColumns.some(({ name }) => name === 'Age'));
      }
    });

    it(`${kind}: has one structural schema for all versions, so that none drops what another has`, () => {
      const schemas = crd.spec.versions.map(({ schema }) => schema.openAPIV3Schema);
      for (const schema of schemas) {
        assertStructural(schema, kind);
        assert.deepEqual(schema, schemas[0]);
      }
    });
  }

  for (const file of readdirSync(join(root, 'testdata')).filter((name) => name.endsWith('.in.yaml'))) {
    it(`take what stands in ${file}, under every version`, () => {
      for (const document of parseAllDocuments(readFileSync(join(root, 'testdata', file), 'utf8'))) {
        const object = document.toJS() as { kind: string; name?: string };
        // The stray field of linkerd-failover is dropped, as the tool's own users see it.
        delete object.name;
        for (const { schema } of crdOf(object.kind).spec.versions) {
          assert.deepEqual(faults(object, schema.openAPIV3Schema, ''), []);
        }
      }
    });
  }

  it('refuse what no version has', () => {
    const schema = crdOf('TrafficSplit').spec.versions[0]?.schema.openAPIV3Schema ?? {};
    const backends = (weight: unknown): string[] =>
      faults({ spec: { service: 'a', backends: [{ service: 'b', weight }] } }, schema, '');
    for (const weight of [1, '500m', '0.5', '1e3', '2Ki', '+1']) assert.deepEqual(backends(weight), []);
    for (const weight of [0.5, '-1', '50%', '', true]) assert.equal(backends(weight).length, 1, String(weight));
  });
});
