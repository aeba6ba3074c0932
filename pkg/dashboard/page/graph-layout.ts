import { Graph, layout } from '@dagrejs/dagre';
import type { GraphModel } from './graph-model.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface PlacedNode extends Point {
  readonly width: number;
  readonly height: number;
}

export interface PlacedEdge {
  /** SVG path. */
  readonly path: string;
  /** Where its label's middle is; dagre keeps room for it, so that labels never overlap. */
  readonly label: Point;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly nodes: ReadonlyMap<string, PlacedNode>;
  readonly edges: ReadonlyMap<string, PlacedEdge>;
}

export const labelSize = { width: 66, height: 22 };

/** Layers from left to right, or from top to bottom where the page is narrow. The same model gives the same picture. */
export function layOut({ nodes, edges }: GraphModel, direction: 'LR' | 'TB'): Layout {
  const graph = new Graph({ multigraph: true });
  const narrow = direction === 'TB';
  graph.setGraph({
    rankdir: direction,
    nodesep: narrow ? 14 : 26,
    ranksep: narrow ? 26 : 44,
    edgesep: narrow ? 10 : 14,
    marginx: 6,
    marginy: 10,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) {
    const letters = Math.max(node.name.length * 7.6, node.note.length * 6.2);
    const width = Math.round(Math.min(220, Math.max(92, letters + 34)));
    graph.setNode(node.id, { width, height: node.kind === 'split' ? 40 : 48 });
  }
  for (const { id, from, to } of edges) {
    graph.setEdge(from, to, { ...labelSize, labelpos: 'c', minlen: 1, weight: 1 }, id);
  }
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as {
    width?: number;
    height?: number;
  };
  return {
    width: Math.max(width, 1),
    height: Math.max(height, 1),
    nodes: new Map(nodes.map(({ id }) => [id, graph.node(id) as unknown as PlacedNode])),
    edges: new Map(
      edges.map(({ id, from, to }) => {
        const { points, x, y } = graph.edge(from, to, id) as unknown as {
          points: Point[];
          x: number;
          y: number;
        };
        return [id, { path: toPath(points), label: { x, y } }];
      }),
    ),
  };
}

/** A smooth line through the middles of the polyline that dagre found. */
function toPath(points: readonly Point[]): string {
  const at = ({ x, y }: Point): string => `${round(x)} ${round(y)}`;
  const [first, ...rest] = points;
  if (first === undefined) return '';
  let path = `M${at(first)}`;
  for (const [index, point] of rest.entries()) {
    const next = rest[index + 1];
    if (next === undefined) path += ` L${at(point)}`;
    else path += ` Q${at(point)} ${at({ x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 })}`;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
