import type { JSX } from 'preact';
import type { Flow } from '../../observability/flows.ts';
import { explainCommand, explainTraceCommand, suggestCommand } from './commands.ts';
import { formatAge, formatCount, formatMs } from './format.ts';
import type { GraphEdge } from './graph-model.ts';
import { sayWhy } from './reasons.ts';
import { traceHref } from './route.ts';
import { VerdictBadge } from './flow-table.tsx';
import { Address, Command, Name } from './ui.tsx';

/** Why an edge is as it is, and the command that tells the whole decision. */
export function EdgePanel({ edge, now, onClose }: { edge: GraphEdge; now: number; onClose: () => void }): JSX.Element {
  return (
    <aside class="panel" aria-label="Why">
      <button type="button" class="icon-button panel-close" onClick={onClose} aria-label="Close">
        <span aria-hidden="true">✕</span>
      </button>
      <div class="details">
        {edge.flows.slice(0, 4).map((flow) => (
          <FlowDetail key={`${flow.backend}${flow.reason}${flow.rule}${flow.source}`} flow={flow} now={now} />
        ))}
      </div>
      {edge.flows.length > 4 && (
        <p class="muted">and {edge.flows.length - 4} more kinds of calls, in the table below</p>
      )}
    </aside>
  );
}

function FlowDetail({ flow, now }: { flow: Flow; now: number }): JSX.Element {
  const denied = flow.verdict !== 'allowed';
  return (
    <div class="detail">
      <h3>
        <Name of={flow.source} /> <span class="muted">→</span> <Address of={flow.service} />
      </h3>
      <p class="detail-verdict">
        <VerdictBadge flow={flow} />
      </p>
      <p>{sayWhy(flow)}</p>
      <p class="muted">
        {formatCount(flow.requests)} requests, {formatCount(flow.errors)} failed, p50 {formatMs(flow.p50)}, p99{' '}
        {formatMs(flow.p99)}, last {formatAge(now - flow.lastSeen)} (
        <a href={traceHref(flow.example.traceId)}>its trace</a>)
      </p>
      <Command text={explainCommand(flow)} />
      {denied ? (
        <>
          <p class="muted">To allow it, have the smallest policy written:</p>
          <Command text={suggestCommand(flow.example.traceId)} />
        </>
      ) : (
        <details>
          <summary>The newest call itself</summary>
          <Command text={explainTraceCommand(flow.example.traceId)} />
        </details>
      )}
    </div>
  );
}
