import type { MeshConfig } from '../catalog/snapshot.ts';
import { toMeshFacts, type MeshFacts } from '../explain/mesh-facts.ts';
import type { Problem } from '../problem/problem.ts';
import { createAssembler } from '../provider/files/assemble.ts';
import { withPositions } from '../provider/files/with-positions.ts';
import { parseDocuments } from '../provider/files/yaml-documents.ts';
import { analyzeMesh } from './analyze-mesh.ts';
import { type Judged, suppress } from './suppress.ts';

const config: MeshConfig = {
  mode: 'enforce',
  modeFrom: 'default',
  pathMatch: 'full',
  trustDomain: 'cluster.local',
  egress: 'deny',
  tracing: { sampling: 1 },
};

export interface Analyzed extends Judged {
  readonly facts: MeshFacts;
  readonly text: string;
}

/** Everything that is said of one file. */
export function analyzeText(text: string): Analyzed {
  const assembler = createAssembler({ config });
  const read = assembler.assemble([{ name: 'mesh.yaml', text, documents: parseDocuments(text) }]);
  const facts = toMeshFacts(read.snapshot, read.locate);
  const found = [...read.problems, ...withPositions([...facts.problems, ...analyzeMesh(facts)], read.locate)];
  return { ...suppress(found, read.files, read.locate), facts, text };
}

/** The line of a problem as it stands in the file. */
export function lineOf({ text }: Analyzed, { position }: Problem): string {
  return text.split('\n')[(position?.line ?? 0) - 1] ?? '';
}

const pod = (name: string, more = ''): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: {app: ${name}, tier: shop${more}}}
spec: {serviceAccountName: ${name}, containers: [{name: app, image: x, ports: [{containerPort: 8080}]}]}
status: {podIP: 10.1.0.${name.length}, conditions: [{type: Ready, status: "True"}]}
`;

const service = (
  name: string,
  ports = '[{name: http, port: 80, targetPort: 8080}]',
  selector = `{app: ${name}}`,
): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {ports: ${ports}, selector: ${selector}}
`;

const group = (matches: string, name = 'routes'): string => `
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: ${name}, namespace: shop}
spec:
  matches:
${matches
  .trim()
  .split('\n')
  .map((line) => `  - ${line.trim()}`)
  .join('\n')}
`;

const target = (
  rules = '[{kind: HTTPRouteGroup, name: routes}]',
  more: { name?: string; from?: string; extra?: string } = {},
): string => `
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {name: ${more.name ?? 'buy'}, namespace: shop${more.extra ?? ''}}
spec:
  destination: {kind: ServiceAccount, name: store}
  rules: ${rules}
  sources: [${more.from ?? '{kind: ServiceAccount, name: buyer}'}]
`;

const split = (backends: string, more = ''): string => `
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: canary, namespace: shop}
spec:
  service: store
  backends: ${backends}
${more}`;

export const yaml = { pod, service, group, target, split };

/** A shop in which nothing is wrong: a buyer who may read, and a store. */
export const shop = {
  pods: [pod('buyer'), pod('store')],
  service: service('store'),
};

export function documents(...parts: readonly (string | readonly string[])[]): string {
  return parts
    .flat()
    .map((part) => part.trim())
    .join('\n---\n');
}
