import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { TraceSummary } from '../../observability/trace-judge.ts';
import type { TraceFilter, TraceList } from '../trace-list.ts';
import { useNow, useResource } from './api.ts';
import { formatAge, formatCount, formatMs, plural, toAddress } from './format.ts';
import { traceHref } from './route.ts';
import { Badge, Card, Choice, Empty } from './ui.tsx';

const filters: readonly {
  readonly value: TraceFilter;
  readonly text: string;
}[] = [
  { value: 'all', text: 'All' },
  { value: 'errors', text: 'Failed' },
  { value: 'broken', text: 'Broken' },
  { value: 'denied', text: 'Denied' },
  { value: 'incomplete', text: 'Incomplete' },
];

export function Traces(): JSX.Element {
  const [text, setText] = useState('');
  const [filter, setFilter] = useState<TraceFilter>('all');
  const [order, setOrder] = useState<'errors' | 'newest'>('errors');
  const [limit, setLimit] = useState(12);
  const query = useSettled(text, 200);
  const params = new URLSearchParams({
    q: query,
    filter,
    order,
    limit: String(limit),
  });
  const { value } = useResource<TraceList>(`/api/summaries?${params.toString()}`, ['traffic']);
  const now = useNow();
  const longest = Math.max(1, ...(value?.traces ?? []).map(({ durationMs }) => durationMs));
  return (
    <Card id="traces" title="Traces">
      <div class="trace-tools">
        <input
          type="search"
          class="search"
          placeholder="Search: trace id, service, path, status_code=502"
          aria-label="Search traces"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <Choice
          label="Which traces"
          value={filter}
          onChange={setFilter}
          options={filters.map((item) => ({
            value: item.value,
            text: (
              <>
                {item.text}
                {value && <span class="count">{formatCount(value.counts[item.value])}</span>}
              </>
            ),
          }))}
        />
        <Choice
          label="Order"
          value={order}
          onChange={setOrder}
          options={[
            { value: 'errors', text: 'Errors first' },
            { value: 'newest', text: 'Newest first' },
          ]}
        />
      </div>
      {value?.traces.length === 0 && <NoTraces searching={query !== '' || filter !== 'all'} />}
      <ul class="traces">
        {value?.traces.map((trace) => (
          <TraceRow key={trace.traceId} trace={trace} now={now} longest={longest} />
        ))}
      </ul>
      {value !== undefined && value.counts[filter] > limit && (
        <button type="button" class="more" onClick={() => setLimit(limit + 50)}>
          Show more of {formatCount(value.counts[filter])}
        </button>
      )}
    </Card>
  );
}

/** A text that has stood still for a while: not every letter is a search. */
function useSettled(text: string, ms: number): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), ms);
    return () => clearTimeout(timer);
  }, [text, ms]);
  return settled;
}

function NoTraces({ searching }: { searching: boolean }): JSX.Element {
  return searching ? (
    <Empty title="No trace like this">
      <p>Other words, or another filter.</p>
    </Empty>
  ) : (
    <Empty title="No traces yet">
      <p>
        Each request through a sidecar becomes a trace, within a second of its end. The apps need nothing but to pass on
        the headers that they got.
      </p>
    </Empty>
  );
}

function TraceRow({ trace, now, longest }: { trace: TraceSummary; now: number; longest: number }): JSX.Element {
  return (
    <li>
      <a class="trace-row" href={traceHref(trace.traceId)}>
        <span class="trace-state">
          <StateBadge trace={trace} />
        </span>
        <span class="trace-what">
          <span class="trace-name">{trace.path === '' ? trace.name : `${trace.method} ${trace.path}`}</span>
          <span class="trace-path">{trace.services.join(' → ')}</span>
          {trace.services.length < 2 && trace.target !== '' && (
            <span class="trace-path">→ {toAddress(trace.target)}</span>
          )}
          {trace.broken[0] !== undefined && (
            <span class="trace-broken">
              {trace.broken[0].certain ? '' : 'likely '}
              {trace.broken[0].app} dropped the headers
            </span>
          )}
        </span>
        <span class="trace-bar" aria-hidden="true">
          <span
            class={trace.errors > 0 ? 'bad' : ''}
            style={{
              width: `${Math.max(1, (trace.durationMs / longest) * 100)}%`,
            }}
          />
        </span>
        <span class="trace-duration">{formatMs(trace.durationMs)}</span>
        <span class="trace-meta">
          {plural(trace.spans, 'span')} · {formatAge(now - trace.start)}
        </span>
      </a>
    </li>
  );
}

export function StateBadge({ trace }: { trace: TraceSummary }): JSX.Element {
  if (trace.errors > 0) return <Badge tone="bad">failed</Badge>;
  if (trace.broken.length > 0) return <Badge tone="warn">broken</Badge>;
  if (trace.denied > 0) return <Badge tone="bad">denied</Badge>;
  if (trace.state === 'arriving') return <Badge tone="neutral">arriving</Badge>;
  if (trace.state === 'incomplete') {
    return (
      <Badge tone="warn" title={trace.missing}>
        incomplete
      </Badge>
    );
  }
  return <Badge tone="ok">complete</Badge>;
}
