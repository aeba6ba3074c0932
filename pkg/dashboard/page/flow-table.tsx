import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Flow } from '../../observability/flows.ts';
import { formatCount, formatMs, splitName } from './format.ts';
import { sayWhy } from './reasons.ts';
import type { Tone } from './ui.tsx';
import { Address, Badge, Name } from './ui.tsx';

export function VerdictBadge({ flow }: { flow: Flow }): JSX.Element {
  const { tone, text } = sayVerdict(flow);
  return (
    <Badge tone={tone} title={sayWhy(flow)}>
      {text}
    </Badge>
  );
}

function sayVerdict({ verdict, reason, errors, requests }: Flow): { tone: Tone; text: string } {
  if (verdict === 'denied') return { tone: 'bad', text: `denied${suffix(reason)}` };
  if (verdict === 'would-deny') return { tone: 'shadow', text: `would deny${suffix(reason)}` };
  if (errors === 0) return { tone: 'ok', text: 'allowed' };
  return {
    tone: 'warn',
    text: errors === requests ? `failed${suffix(reason)}` : `allowed, ${formatCount(errors)} failed`,
  };
}

/** A rule stands in the namespace of what it opens: only its name is news. */
function nameNear(rule: string, service: string): string {
  const { namespace, name } = splitName(rule);
  return service.startsWith(`${namespace}/`) ? name : rule;
}

function suffix(reason: string): string {
  return reason === '' ? '' : `: ${reason}`;
}

const shownAtFirst = 12;

/** The evidence under the picture: one row for each kind of call, what is refused first. */
export function FlowTable({
  flows,
  onSelect,
}: {
  flows: readonly Flow[];
  onSelect: (flow: Flow) => void;
}): JSX.Element {
  const [all, setAll] = useState(false);
  const sorted = [...flows].sort((a, b) => rank(a) - rank(b) || b.requests - a.requests);
  const shown = all ? sorted : sorted.slice(0, shownAtFirst);
  return (
    <>
      <table class="flows">
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Verdict</th>
            <th scope="col">By</th>
            <th scope="col" class="number">
              Requests
            </th>
            <th scope="col" class="number">
              p50
            </th>
            <th scope="col" class="number">
              p99
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((flow) => (
            <Row key={keyOf(flow)} flow={flow} onSelect={() => onSelect(flow)} />
          ))}
        </tbody>
      </table>
      {sorted.length > shownAtFirst && (
        <button type="button" class="more" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${sorted.length}`}
        </button>
      )}
    </>
  );
}

function Row({ flow, onSelect }: { flow: Flow; onSelect: () => void }): JSX.Element {
  return (
    <tr class={flow.verdict}>
      <td data-label="From">
        <button type="button" class="link" onClick={onSelect} title="Show in the picture">
          <Name of={flow.source} />
        </button>
      </td>
      <td data-label="To">
        <Address of={flow.service} />
        {flow.split !== '' && flow.backend !== '' && <span class="via"> ↳ {flow.backend}</span>}
        {flow.protocol !== 'http' && <span class="via"> {flow.protocol}</span>}
      </td>
      <td data-label="Verdict">
        <VerdictBadge flow={flow} />
      </td>
      <td data-label="By">
        {flow.rule === '' ? <span class="muted">–</span> : <Name of={nameNear(flow.rule, flow.service)} />}
      </td>
      <td data-label="Requests" class="number">
        {formatCount(flow.requests)}
      </td>
      <td data-label="p50" class="number">
        {formatMs(flow.p50)}
      </td>
      <td data-label="p99" class="number">
        {formatMs(flow.p99)}
      </td>
    </tr>
  );
}

function rank({ verdict, errors }: Flow): number {
  return verdict === 'denied' ? 0 : verdict === 'would-deny' ? 1 : errors > 0 ? 2 : 3;
}

function keyOf({ source, service, destination, backend, protocol, verdict, reason, rule, split }: Flow): string {
  return [source, service, destination, backend, protocol, verdict, reason, rule, split].join(' ');
}
