import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { decodeSmiObject } from '../../pkg/smi/decode.ts';
import { smiKinds } from '../../pkg/smi/kinds.ts';
import { missingForApiServer, startApiServer, type ApiServer } from '../support/api-server.ts';
import { findProgram } from '../support/find-program.ts';
import { chart, mustRun, run } from './helm.ts';

type JsonObject = Readonly<Record<string, unknown>>;
interface Smi extends JsonObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: JsonObject & { readonly name: string };
}

const namespace = `chart-test-${process.pid}`;
const given = process.env['KUBECONFIG'];
const isPossible = missingForApiServer.length === 0 || (given !== undefined && findProgram('kubectl') !== undefined);
const title = isPossible ? '' : ` (not installed: ${missingForApiServer.join(', ')}; and KUBECONFIG is not set)`;

function without<T extends object, K extends keyof T>(object: T, ...keys: readonly K[]): Omit<T, K> {
  const kept = Object.entries(object).filter(([key]) => !keys.includes(key as K));
  return Object.fromEntries(kept) as Omit<T, K>;
}

/** What is meant, whatever the version. An API server sorts the keys of objects, and so headers written as one. */
function meaningOf(object: Smi): unknown {
  const { value } = decodeSmiObject(object);
  if (!value) return undefined;
  const text = JSON.stringify(without(value, 'apiVersion', 'creationTimestamp'), (key, part: unknown) =>
    key === 'headers' ? [...(part as { name: string }[])].sort((a, b) => (a.name < b.name ? -1 : 1)) : part,
  );
  return JSON.parse(text);
}

/** As tools write them: one of each version of each kind, and what OSM's users, Flagger and others apply. */
const testdata = join(import.meta.dirname, '../../pkg/smi/testdata');
const examples = readdirSync(testdata)
  .filter((file) => file.endsWith('.in.yaml'))
  .map((file) => ({ file, objects: readObjects(join(testdata, file)) }));

function readObjects(file: string): Smi[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Smi);
}

(isPossible ? describe : describe.skip)(`SMI objects in a real API server${title}`, function () {
  this.timeout(180_000);
  let api: ApiServer;
  const made: string[] = [];
  const kubectl = (args: readonly string[], input?: object) =>
    run('kubectl', args, { kubeconfig: api.kubeconfig, ...(input ? { input: JSON.stringify(input) } : {}) });
  const must = (args: readonly string[], input?: object): string =>
    mustRun('kubectl', args, { kubeconfig: api.kubeconfig, ...(input ? { input: JSON.stringify(input) } : {}) });

  before(async () => {
    api = missingForApiServer.length === 0 ? await startApiServer() : { kubeconfig: given ?? '', stop: async () => {} };
    const there = must(['get', 'crd', '-o', 'name']);
    for (const file of readdirSync(join(chart, 'files/crds'))) {
      const [crd] = readObjects(join(chart, 'files/crds', file));
      // In a cluster that is not ours they may be a release's, which keeps them.
      if (!crd || there.includes(`/${crd.metadata.name}\n`)) continue;
      made.push(crd.metadata.name);
      must(['apply', '--server-side', '-f', join(chart, 'files/crds', file)]);
    }
    const names = made.map((name) => `crd/${name}`);
    if (names.length > 0) must(['wait', '--for=condition=Established', '--timeout=60s', ...names]);
    must(['create', 'namespace', namespace]);
  });

  after(async () => {
    run('kubectl', ['delete', 'namespace', namespace, '--wait=false'], { kubeconfig: api.kubeconfig });
    if (made.length > 0) run('kubectl', ['delete', 'crd', '--wait=false', ...made], { kubeconfig: api.kubeconfig });
    await api.stop();
  });

  const placed = (object: Smi, name = object.metadata.name): Smi => {
    // A garbage collector would take an object with an owner that isn't there.
    return { ...object, metadata: { ...without(object.metadata, 'ownerReferences'), name, namespace } };
  };
  const dryRun = (object: Smi, how = 'strict') =>
    kubectl(['create', '--dry-run=server', `--validate=${how}`, '-f', '-'], placed(object));

  for (const { file, objects } of examples) {
    it(`${file}: taken, each in its version`, () => {
      for (const object of objects) {
        // What linkerd-failover leaves behind at the top is dropped with a warning.
        const how = file.startsWith('linkerd-failover') ? 'warn' : 'strict';
        const { status, stderr } = dryRun(object, how);
        assert.equal(status, 0, `${object.apiVersion} ${object.kind} ${object.metadata.name}: ${stderr}`);
      }
    });
  }

  it('take the objects of Open Service Mesh, and keep every field of them', () => {
    for (const object of readObjects(join(import.meta.dirname, 'testdata/open-service-mesh.yaml'))) {
      const said = must(['create', '--dry-run=server', '--validate=strict', '-o', 'json', '-f', '-'], placed(object));
      assert.deepEqual((JSON.parse(said) as JsonObject)['spec'], {
        // The default that Open Service Mesh's schema has as well.
        ...(object.metadata.name === 'of-1-2' ? { trustDomain: 'cluster.local' } : {}),
        ...(object['spec'] as JsonObject),
      });
    }
  });

  it('have an example of every kind in every version', () => {
    const seen = new Set(examples.flatMap(({ objects }) => objects.map((o) => `${o.apiVersion} ${o.kind}`)));
    for (const { group, kind, versions } of smiKinds) {
      for (const version of versions) assert.ok(seen.has(`${group}/${version} ${kind}`), `${group}/${version} ${kind}`);
    }
  });

  it('are refused when the schema forbids them', () => {
    const object = (apiVersion: string, kind: string, fields: JsonObject): Smi => ({
      apiVersion,
      kind,
      metadata: { name: 'wrong' },
      ...fields,
    });
    const split = (backends: unknown) =>
      object('split.smi-spec.io/v1alpha2', 'TrafficSplit', { spec: { service: 'web', backends } });
    const target = (spec: JsonObject) => object('access.smi-spec.io/v1alpha3', 'TrafficTarget', { spec });
    const group = (match: JsonObject) =>
      object('specs.smi-spec.io/v1alpha4', 'HTTPRouteGroup', { spec: { matches: [match] } });
    const destination = { kind: 'ServiceAccount', name: 'api' };
    const osm = 'policy.openservicemesh.io/v1alpha1';
    const traffic = (fields: JsonObject) =>
      object('config.openservicemesh.io/v1alpha2', 'MeshConfig', { spec: { traffic: fields } });
    const wrong: readonly (readonly [Smi, RegExp])[] = [
      [split([{ service: 'web-v1', weight: 'many' }]), /spec\.backends\[0\]\.weight/],
      [split([{ service: 'web-v1', weight: '-5' }]), /spec\.backends\[0\]\.weight/],
      [split([{ weight: 1 }]), /spec\.backends\[0\]\.service: Required/],
      [split([{ service: 'web-v1' }]), /spec\.backends\[0\]\.weight: Required/],
      [target({ destination: { name: 'api' } }), /spec\.destination\.kind: Required/],
      [target({ destination, rules: [{ kind: 'HTTPRouteGroup' }] }), /spec\.rules\[0\]\.name: Required/],
      [target({ destination, sources: 'everybody' }), /spec\.sources/],
      [target({ destination, rulez: [] }), /unknown field "spec\.rulez"/],
      [group({ pathRegex: '/x' }), /spec\.matches\[0\]\.name: Required/],
      [group({ name: 'x', methods: 'GET' }), /spec\.matches\[0\]\.methods/],
      [object('specs.smi-spec.io/v1alpha4', 'UDPRoute', { spec: { matches: { ports: [70_000] } } }), /ports\[0\]/],
      [traffic({ outboundPortExclusionList: [0] }), /outboundPortExclusionList\[0\]/],
      [traffic({ outboundIPRangeExclusionList: ['10.0.0.1'] }), /outboundIPRangeExclusionList\[0\]/],
      [
        traffic({ enablePermissiveTrafficPolicy: true }),
        /unknown field "spec\.traffic\.enablePermissiveTrafficPolicy"/,
      ],
      [object(osm, 'Egress', { spec: { sources: [] } }), /spec\.ports: Required/],
      [
        object(osm, 'IngressBackend', { spec: { backends: [], sources: [{ kind: 'Pod', name: 'x' }] } }),
        /spec\.sources\[0\]\.kind: Unsupported/,
      ],
    ];
    for (const [bad, message] of wrong) {
      const { status, stderr } = dryRun(bad);
      assert.notEqual(status, 0, JSON.stringify(bad));
      assert.match(stderr, message);
    }
  });

  it('mean the same in whatever version they were written and are read', () => {
    const all = examples.flatMap(({ objects }) => objects);
    const written = new Map(all.map((object, index) => [`round-trip-${index}`, placed(object, `round-trip-${index}`)]));
    must(['create', '--validate=warn', '-f', '-'], { apiVersion: 'v1', kind: 'List', items: [...written.values()] });
    for (const { group, kind, versions } of smiKinds) {
      const mine = [...written].filter(([, object]) => object.kind === kind);
      for (const version of versions) {
        const path = `${kind.toLowerCase()}s.${version}.${group}`;
        const { items } = JSON.parse(must(['get', path, '-n', namespace, '-o', 'json'])) as { items: Smi[] };
        for (const [name, object] of mine) {
          const read = items.find(({ metadata }) => metadata.name === name);
          assert.ok(read, `${kind} ${name} as ${version}`);
          assert.equal(read.apiVersion, `${group}/${version}`);
          assert.deepEqual(meaningOf(read), meaningOf(object), `${object.apiVersion} ${name} as ${version}`);
        }
      }
    }
  });

  describe('that several tools write', () => {
    const splits = (version: string) => `trafficsplits.${version}.split.smi-spec.io`;
    const get = (version: string, name: string) =>
      JSON.parse(must(['get', splits(version), name, '-n', namespace, '-o', 'json'])) as Smi & {
        spec: { service: string; backends: { service: string; weight: unknown }[]; matches?: unknown };
      };
    const weights = (version: string, name: string) => get(version, name).spec.backends.map(({ weight }) => weight);
    const make = (version: string, name: string, spec: JsonObject) =>
      must(['create', '-f', '-'], {
        apiVersion: `split.smi-spec.io/${version}`,
        kind: 'TrafficSplit',
        metadata: { name, namespace },
        spec,
      });
    const patch = (version: string, name: string, body: JsonObject, ...flags: string[]) =>
      must(['patch', splits(version), name, '-n', namespace, '--type=merge', '-p', JSON.stringify(body), ...flags]);

    it('keep the texts that Argo Rollouts writes as weights in v1alpha1, for readers of every version', () => {
      const backends = [
        { service: 'web-canary', weight: '20' },
        { service: 'web-stable', weight: '80' },
      ];
      make('v1alpha1', 'argo', { service: 'web-stable', backends });
      for (const version of ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4']) {
        assert.deepEqual(weights(version, 'argo'), ['20', '80'], version);
      }
      patch('v1alpha1', 'argo', { spec: { backends: [{ service: 'web-canary', weight: '50' }, backends[1]] } });
      assert.deepEqual(weights('v1alpha4', 'argo'), ['50', '80']);
    });

    it('keep the numbers that Flagger writes in v1alpha2, for a reader of v1alpha1 as well', () => {
      const backends = (canary: number) => [
        { service: 'pay-canary', weight: canary },
        { service: 'pay-primary', weight: 100 - canary },
      ];
      make('v1alpha2', 'flagger', { service: 'pay', backends: backends(0) });
      const live = get('v1alpha2', 'flagger');
      must(['replace', '-f', '-'], { ...live, spec: { ...live.spec, backends: backends(30) } });
      assert.deepEqual(weights('v1alpha2', 'flagger'), [30, 70]);
      assert.deepEqual(weights('v1alpha1', 'flagger'), [30, 70]);
    });

    it('lose what a client does not know when it writes the whole object: `matches`, from v1alpha2', () => {
      const backends = [{ service: 'a', weight: 1 }];
      make('v1alpha4', 'matches', { service: 'a', backends, matches: [{ kind: 'HTTPRouteGroup', name: 'beta' }] });
      const known = without(get('v1alpha2', 'matches').spec, 'matches');
      // A patch of the backends leaves it.
      patch('v1alpha2', 'matches', { spec: { backends } });
      assert.notEqual(get('v1alpha4', 'matches').spec.matches, undefined);
      must(['replace', '-f', '-'], { ...get('v1alpha2', 'matches'), spec: known });
      assert.equal(get('v1alpha4', 'matches').spec.matches, undefined);
    });

    it('take the patch of linkerd-failover, whose stray name is dropped', () => {
      const backends = (primary: number) => [
        { service: 'store', weight: primary },
        { service: 'store-west', weight: 1 - primary },
      ];
      make('v1alpha2', 'store', { service: 'store', backends: backends(1) });
      patch('v1alpha2', 'store', { name: 'store', spec: { backends: backends(0) } });
      assert.deepEqual(weights('v1alpha1', 'store'), [0, 1]);
      assert.equal((get('v1alpha2', 'store') as JsonObject)['name'], undefined);
    });
  });
});
