import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { formatCount, formatShare } from './format.ts';
import type { Layout, PlacedEdge, PlacedNode } from './graph-layout.ts';
import { labelSize, layOut } from './graph-layout.ts';
import type { EdgeKind, GraphEdge, GraphModel, GraphNode } from './graph-model.ts';

interface GraphProps {
  readonly model: GraphModel;
  readonly selected: string | undefined;
  readonly onSelect: (edge: string | undefined) => void;
}

/** Below this width the picture goes from top to bottom. */
const narrowWidth = 680;

/** The picture of who calls whom. Laid out anew only when a node or an edge comes or goes, so that it stands still. */
export function Graph({ model, selected, onSelect }: GraphProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const direction = width < narrowWidth ? 'TB' : 'LR';
  const shape = `${direction} ${model.nodes.map(({ id, note }) => id + note).join()} ${model.edges.map(({ id }) => id).join()}`;
  const layout = useMemo(() => layOut(model, direction), [shape]);
  // Wider than the page: shrunk as far as text stays readable, scrolled in its own box beyond that.
  const scale = Math.max(0.72, Math.min(1.15, (width - 2) / layout.width));
  return (
    <div class="graph" ref={box}>
      <svg
        width={layout.width * scale}
        height={layout.height * scale}
        viewBox={`0 0 ${layout.width} ${layout.height}`}
        role="group"
        aria-label="Who calls whom"
        onClick={(event) => event.target === event.currentTarget && onSelect(undefined)}
      >
        <Arrowheads />
        {model.edges.map((edge) => (
          <EdgeLine key={edge.id} edge={edge} placed={layout.edges.get(edge.id)} selected={edge.id === selected} />
        ))}
        {model.nodes.map((node) => (
          <NodeBox key={node.id} node={node} placed={layout.nodes.get(node.id)} />
        ))}
        {model.edges.map((edge) => (
          <EdgeLabel
            key={edge.id}
            edge={edge}
            layout={layout}
            label={toSentence(edge, model)}
            selected={edge.id === selected}
            onSelect={() => onSelect(edge.id === selected ? undefined : edge.id)}
          />
        ))}
      </svg>
    </div>
  );
}

function useWidth(box: { current: HTMLDivElement | null }): number {
  const [width, setWidth] = useState(1_000);
  useEffect(() => {
    if (box.current === null) return undefined;
    setWidth(box.current.clientWidth);
    const observer = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [box]);
  return width;
}

const arrowKinds: readonly EdgeKind[] = ['allowed', 'errors', 'would-deny', 'quiet'];

function Arrowheads(): JSX.Element {
  return (
    <defs>
      {arrowKinds.map((kind) => (
        <marker
          key={kind}
          id={`arrow-${kind}`}
          class={`arrow ${kind}`}
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="8"
          markerHeight="8"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0 0.5L8 4L0 7.5z" />
        </marker>
      ))}
    </defs>
  );
}

function EdgeLine({
  edge,
  placed,
  selected,
}: {
  edge: GraphEdge;
  placed: PlacedEdge | undefined;
  selected: boolean;
}): JSX.Element | null {
  if (placed === undefined) return null;
  const width = edge.requests === 0 ? 1.2 : Math.min(4, 1.4 + Math.log10(edge.requests) * 0.6);
  const arrow = edge.kind === 'denied' ? {} : { 'marker-end': `url(#arrow-${edge.kind})` };
  return (
    <g class={`edge ${edge.kind} ${selected ? 'selected' : ''}`} aria-hidden="true">
      <path class="line" d={placed.path} stroke-width={selected ? width + 1.5 : width} {...arrow} />
      {edge.kind !== 'denied' && edge.kind !== 'quiet' && <path class="motion" d={placed.path} />}
    </g>
  );
}

interface EdgeLabelProps {
  readonly edge: GraphEdge;
  readonly layout: Layout;
  readonly label: string;
  readonly selected: boolean;
  readonly onSelect: () => void;
}

/** The one number of an edge, and the button that tells more. */
function EdgeLabel({ edge, layout, label, selected, onSelect }: EdgeLabelProps): JSX.Element | null {
  const placed = layout.edges.get(edge.id);
  if (placed === undefined || (edge.kind === 'quiet' && edge.flows.length === 0)) return null;
  const text = edge.share === undefined ? formatCount(edge.requests) : formatShare(edge.share);
  const mark = {
    denied: '✖ ',
    'would-deny': '◐ ',
    errors: '! ',
    allowed: '',
    quiet: '',
  }[edge.kind];
  const width = Math.min(labelSize.width, (mark + text).length * 7.2 + 16);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    onSelect();
  };
  return (
    <g
      class={`edge-label ${edge.kind} ${selected ? 'selected' : ''}`}
      transform={`translate(${placed.label.x} ${placed.label.y})`}
      role="button"
      tabindex={0}
      aria-label={label}
      aria-pressed={selected}
      onClick={onSelect}
      onKeyDown={onKeyDown}
    >
      <title>{label}</title>
      <rect
        x={-width / 2}
        y={-labelSize.height / 2}
        width={width}
        height={labelSize.height}
        rx={labelSize.height / 2}
      />
      <text y="4.2">{mark + text}</text>
    </g>
  );
}

function toSentence(edge: GraphEdge, { nodes }: GraphModel): string {
  const name = (id: string): string => nodes.find((node) => node.id === id)?.name ?? id;
  const what = {
    denied: 'denied',
    'would-deny': 'would be denied',
    errors: 'with errors',
    allowed: 'allowed',
    quiet: 'no requests',
  };
  return `${name(edge.from)} to ${name(edge.to)}: ${formatCount(edge.requests)} requests, ${what[edge.kind]}. Why?`;
}

function NodeBox({ node, placed }: { node: GraphNode; placed: PlacedNode | undefined }): JSX.Element | null {
  if (placed === undefined) return null;
  const { x, y, width, height } = placed;
  return (
    <g
      class={`node ${node.kind} ${node.ready ? '' : 'unready'}`}
      transform={`translate(${x - width / 2} ${y - height / 2})`}
    >
      <title>{`${node.namespace === '' ? '' : `${node.namespace}/`}${node.name} (${node.kind})`}</title>
      <rect width={width} height={height} rx={node.kind === 'split' ? height / 2 : 10} />
      <text x={width / 2} y={height / 2 - 2} class="node-name">
        {shorten(node.name, width)}
      </text>
      <text x={width / 2} y={height / 2 + 13} class="node-note">
        {shorten(node.note, width)}
      </text>
    </g>
  );
}

function shorten(text: string, width: number): string {
  const fits = Math.floor((width - 20) / 6.6);
  return text.length <= fits ? text : `${text.slice(0, fits - 1)}…`;
}
