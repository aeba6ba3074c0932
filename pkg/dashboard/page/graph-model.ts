import type { Flow } from '../../observability/flows.ts';
import type { MeshReport } from '../dashboard.ts';
import { splitName } from './format.ts';

export interface GraphNode {
  readonly id: string;
  readonly kind: 'workload' | 'split' | 'service' | 'outside';
  readonly name: string;
  readonly namespace: string;
  /** What stands under the name. */
  readonly note: string;
  /** False: nothing of it is ready. */
  readonly ready: boolean;
}

export type EdgeKind = 'allowed' | 'errors' | 'denied' | 'would-deny' | 'quiet';

export interface GraphEdge {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly kind: EdgeKind;
  readonly requests: number;
  /** Of what leaves a split. */
  readonly share?: number;
  /** Biggest first. */
  readonly flows: readonly Flow[];
}

export interface GraphModel {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Workloads without traffic are left out when there are more than this. */
const maxIdle = 24;

interface Draft {
  readonly from: string;
  readonly to: string;
  readonly denied: boolean;
  readonly wouldDeny: boolean;
  readonly flows: Flow[];
}

/**
 * Who calls whom: workloads by their account, a split as a point of its own between its callers and its backends.
 * What is denied is an edge beside the one that is allowed. `known`: flows of a longer time, whose edges stay, quiet, so that
 * the picture stands still. Sorted by name, so that equal input gives an equal picture.
 */
export function toGraph(mesh: MeshReport, flows: readonly Flow[], known: readonly Flow[] = []): GraphModel {
  const drafts = new Map<string, Draft>();
  const draftOf = ({ from, to, verdict }: Segment): Draft => {
    const id = `${from}→${to}|${verdict}`;
    const draft = drafts.get(id) ?? {
      from,
      to,
      denied: verdict === 'denied',
      wouldDeny: verdict === 'would-deny',
      flows: [],
    };
    drafts.set(id, draft);
    return draft;
  };
  for (const flow of known) toSegments(mesh, flow).forEach(draftOf);
  for (const flow of flows) for (const segment of toSegments(mesh, flow)) draftOf(segment).flows.push(flow);
  // A split shows where it leads before anybody calls.
  for (const { root, wanted } of mesh.splits) {
    for (const { backend, weight, excluded } of wanted) {
      const account = accountsOf(mesh, `${splitName(root).namespace}/${backend}`)[0];
      if (weight === 0 || excluded !== undefined || account === undefined) continue;
      draftOf({ from: `s:${root}`, to: `w:${account}`, verdict: 'allowed' });
    }
  }
  const edges = [...drafts].map(([id, draft]) => toEdge(id, draft, [...drafts.values()])).sort(byId);
  return { nodes: toNodes(mesh, edges), edges };
}

interface Segment {
  readonly from: string;
  readonly to: string;
  readonly verdict: Flow['verdict'];
}

/** The edges that a flow goes along: one, or two where a split shared it. */
function toSegments(mesh: MeshReport, flow: Flow): Segment[] {
  const { verdict } = flow;
  const from = flow.source === '' ? 'outside' : `w:${flow.source}`;
  const root = flow.service.replace(/:\d+$/, '');
  if (!mesh.splits.some((split) => split.root === root)) return [{ from, to: toTarget(mesh, flow, root), verdict }];
  const split = `s:${root}`;
  const first: Segment = { from, to: split, verdict };
  if (flow.backend === '' || verdict === 'denied') return [first];
  const backend = `${splitName(root).namespace}/${flow.backend}`;
  return [first, { from: split, to: toTarget(mesh, flow, backend), verdict: 'allowed' }];
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function accountsOf(mesh: MeshReport, service: string): readonly string[] {
  const { namespace, name } = splitName(service);
  return mesh.services.find((item) => item.namespace === namespace && item.name === name)?.accounts ?? [];
}

function toTarget(mesh: MeshReport, flow: Flow, service: string): string {
  if (flow.destination !== '') return `w:${flow.destination}`;
  const [account, ...others] = accountsOf(mesh, service);
  return account !== undefined && others.length === 0 ? `w:${account}` : `svc:${service}`;
}

function toEdge(id: string, { from, to, denied, wouldDeny, flows }: Draft, all: readonly Draft[]): GraphEdge {
  const requests = sum(flows, ({ requests: count }) => count);
  const errors = sum(flows, (flow) => flow.errors);
  const kind: EdgeKind =
    requests === 0
      ? 'quiet'
      : denied
        ? 'denied'
        : wouldDeny
          ? 'would-deny'
          : errors / requests > 0.05
            ? 'errors'
            : 'allowed';
  const total = sum(
    all.filter((draft) => draft.from === from).flatMap((draft) => draft.flows),
    (flow) => flow.requests,
  );
  const share = from.startsWith('s:') && total > 0 ? { share: requests / total } : {};
  return {
    id,
    from,
    to,
    kind,
    requests,
    flows: [...flows].sort((a, b) => b.requests - a.requests),
    ...share,
  };
}

function sum(flows: readonly Flow[], of: (flow: Flow) => number): number {
  return flows.reduce((total, flow) => total + of(flow), 0);
}

function toNodes(mesh: MeshReport, edges: readonly GraphEdge[]): GraphNode[] {
  const ids = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const accounts = new Set([
    ...mesh.pods.map(({ account }) => account),
    ...mesh.services.flatMap((service) => service.accounts),
  ]);
  const idle = [...accounts].map((account) => `w:${account}`).filter((id) => !ids.has(id));
  if (idle.length <= maxIdle) for (const id of idle) ids.add(id);
  return [...ids].sort().map((id) => toNode(mesh, id));
}

function toNode(mesh: MeshReport, id: string): GraphNode {
  if (id === 'outside') {
    return {
      id,
      kind: 'outside',
      name: 'outside',
      namespace: '',
      note: 'without a sidecar',
      ready: true,
    };
  }
  const [prefix = '', key = ''] = id.split(/:(.*)/s);
  const { namespace, name } = splitName(key);
  if (prefix === 's') {
    const weights = mesh.splits.find(({ root }) => root === key)?.wanted.map(({ weight }) => weight) ?? [];
    return {
      id,
      kind: 'split',
      name,
      namespace,
      note: `split ${weights.slice(0, 4).join(' : ')}`,
      ready: true,
    };
  }
  if (prefix === 'svc')
    return {
      id,
      kind: 'service',
      name,
      namespace,
      note: namespace,
      ready: true,
    };
  const pods = mesh.pods.filter(({ account }) => account === key);
  const ready = pods.filter((pod) => pod.ready).length;
  const note = pods.length > 1 || ready < pods.length ? `${namespace} · ${ready}/${pods.length} ready` : namespace;
  return {
    id,
    kind: 'workload',
    name,
    namespace,
    note,
    ready: pods.length === 0 || ready > 0,
  };
}
