import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MeshConfig } from '../../../pkg/catalog/snapshot.ts';

/** A mesh of any size as files: a Service, an account and a TrafficTarget each, and pods in turn behind them. */
export interface MeshShape {
  readonly services: number;
  readonly proxies: number;
  /** Permissive: every proxy sees every service. Enforce: each account may call the five before it. */
  readonly mode: 'enforce' | 'permissive';
}

export const changeKinds = ['weight', 'endpoint', 'target', 'service added', 'service removed'] as const;
export type ChangeKind = (typeof changeKinds)[number];

/** The Service that is split is 0; another one's endpoint and target change. */
const changed = 7;
const sourcesEach = 5;

export function toMeshConfig({ mode }: MeshShape): MeshConfig {
  return {
    mode,
    modeFrom: 'benchmark',
    pathMatch: 'full',
    trustDomain: 'cluster.local',
    egress: 'deny',
    tracing: { sampling: 0 },
  };
}

export const meshFolder = (folder: string): string => join(folder, 'mesh');
export const podFolder = (folder: string): string => join(folder, 'pods');

export function accountOf({ services }: MeshShape, proxy: number): string {
  return `sa-${proxy % services}`;
}

export function writeMesh(folder: string, shape: MeshShape): void {
  for (const each of [meshFolder(folder), podFolder(folder)]) mkdirSync(each, { recursive: true });
  for (let i = 0; i < shape.services; i++) {
    writeFileSync(join(meshFolder(folder), `svc-${i}.yaml`), toService(`svc-${i}`, `svc-${i}`));
    writeFileSync(join(meshFolder(folder), `target-${i}.yaml`), toTarget(shape, i, []));
  }
  const versions = ['v1', 'v2'].map((version) => toService(`svc-0-${version}`, 'svc-0'));
  writeFileSync(join(meshFolder(folder), 'versions.yaml'), versions.join('---\n'));
  writeFileSync(join(meshFolder(folder), 'routes.yaml'), routes);
  writeFileSync(join(meshFolder(folder), 'split.yaml'), toSplit(90));
  for (let i = 0; i < shape.proxies; i++) {
    writeFileSync(join(podFolder(folder), `pod-${i}.json`), toPod(shape, i, toIp(i)));
  }
}

/** Writes beside the mesh what the change will be; the returned function puts it into force by one system call. */
export function prepareChange(folder: string, shape: MeshShape, kind: ChangeKind, round: number): () => void {
  const next = join(folder, 'next');
  const replace = (file: string, text: string): (() => void) => {
    writeFileSync(next, text);
    return () => renameSync(next, file);
  };
  const victim = changed % shape.services;
  switch (kind) {
    case 'weight':
      return replace(join(meshFolder(folder), 'split.yaml'), toSplit(1 + ((round * 7) % 88)));
    case 'endpoint':
      return replace(
        join(podFolder(folder), `pod-${victim}.json`),
        toPod(shape, victim, `10.9.9.${1 + (round % 250)}`),
      );
    case 'target':
      return replace(
        join(meshFolder(folder), `target-${victim}.yaml`),
        toTarget(shape, victim, [extraSource(shape, round)]),
      );
    case 'service added':
      return replace(join(meshFolder(folder), `new-${round}.yaml`), toService(`new-${round}`, `new-${round}`));
    case 'service removed':
      return () => rmSync(join(meshFolder(folder), `new-${round}.yaml`));
  }
}

/** The proxies that a change concerns. Names and addresses of Services are everybody's: `shared` says so. */
export function concerned(
  shape: MeshShape,
  kind: ChangeKind,
  round: number,
): { readonly proxies: ReadonlySet<number>; readonly shared: boolean } {
  const all = Array.from({ length: shape.proxies }, (_, i) => i);
  const of = (accounts: readonly string[]): ReadonlySet<number> =>
    new Set(all.filter((proxy) => accounts.includes(accountOf(shape, proxy))));
  const isAdding = kind === 'service added' || kind === 'service removed';
  const victim = changed % shape.services;
  if (kind === 'target') {
    const before = extraSource(shape, round - 1);
    return { proxies: of([`sa-${victim}`, extraSource(shape, round), before]), shared: false };
  }
  if (shape.mode === 'permissive') return { proxies: new Set(all), shared: isAdding };
  if (kind === 'weight') return { proxies: of(sources(shape, 0)), shared: false };
  if (kind !== 'endpoint') return { proxies: new Set(), shared: true };
  const last = extraSource(shape, lastRoundOf.get(shape) ?? 0);
  return { proxies: of([`sa-${victim}`, ...sources(shape, victim), last]), shared: false };
}

/** The round of the target that is in force. */
export const lastRoundOf = new WeakMap<MeshShape, number>();

function sources({ services }: MeshShape, of: number): readonly string[] {
  return Array.from({ length: sourcesEach }, (_, k) => `sa-${(of + k + 1) % services}`);
}

function extraSource({ services }: MeshShape, round: number): string {
  const others = services - sourcesEach - 1;
  return `sa-${(changed + sourcesEach + 1 + (round % others)) % services}`;
}

function toIp(pod: number): string {
  return `10.${244 + (pod >> 16)}.${(pod >> 8) & 255}.${pod & 255}`;
}

function toService(name: string, app: string): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: n}
spec:
  selector: {app: ${app}}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}]
`;
}

function toTarget(shape: MeshShape, of: number, more: readonly string[]): string {
  const from = [...new Set([...sources(shape, of), ...more])];
  return `apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: target-${of}, namespace: n}
spec:
  destination: {kind: ServiceAccount, name: sa-${of}, namespace: n}
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [read, write]}]
  sources:
${from.map((name) => `  - {kind: ServiceAccount, name: ${name}, namespace: n}`).join('\n')}
`;
}

const routes = `apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: routes, namespace: n}
spec:
  matches:
  - {name: read, pathRegex: "/books/[0-9]+", methods: [GET]}
  - {name: write, pathRegex: /books, methods: [POST], headers: [{x-tier: "gold|silver"}]}
`;

function toSplit(weight: number): string {
  return `apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: canary, namespace: n}
spec:
  service: svc-0
  backends:
  - {service: svc-0-v1, weight: ${weight}}
  - {service: svc-0-v2, weight: ${100 - weight}}
`;
}

function toPod(shape: MeshShape, pod: number, ip: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `pod-${pod}`, namespace: 'n', labels: { app: `svc-${pod % shape.services}` } },
    spec: {
      serviceAccountName: accountOf(shape, pod),
      containers: [{ name: 'app', image: 'app', ports: [{ name: 'http', containerPort: 8080 }] }],
    },
    status: { phase: 'Running', podIP: ip, conditions: [{ type: 'Ready', status: 'True' }] },
  });
}
