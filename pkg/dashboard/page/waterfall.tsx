import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { JaegerTrace } from '../../observability/jaeger-json.ts';
import type { BrokenLink, TraceSummary } from '../../observability/trace-judge.ts';
import { useResource } from './api.ts';
import { explainTraceCommand } from './commands.ts';
import { formatMs, formatTime, plural, toAddress } from './format.ts';
import { traceHref } from './route.ts';
import { SpanDetail } from './span-detail.tsx';
import { StateBadge } from './traces.tsx';
import { Command, CopyButton, Empty } from './ui.tsx';
import type { WaterfallRow } from './waterfall-model.ts';
import { toTicks, toWaterfall } from './waterfall-model.ts';

interface JaegerAnswer {
  readonly data: readonly JaegerTrace[];
}

export function TracePage({ traceId }: { traceId: string }): JSX.Element {
  const { value: answer } = useResource<JaegerAnswer>(`/api/traces/${traceId}`, ['traffic']);
  const { value: summary, error } = useResource<TraceSummary>(`/api/summaries/${traceId}`, ['traffic']);
  const trace = answer?.data?.[0];
  useEffect(() => scrollTo(0, 0), [traceId]);
  return (
    <main class="main">
      <p class="back">
        <a href="#traces">← All traces</a>
      </p>
      {summary !== undefined && trace !== undefined ? (
        <TraceView trace={trace} summary={summary} />
      ) : error !== undefined ? (
        <Empty title="This trace is not kept any more">
          <p>
            The newest traces are kept in memory, as many as fit; older ones make room. To keep all, send them to your
            own Jaeger as well:
          </p>
          <Command text="tulle up --otlp http://127.0.0.1:4318" />
        </Empty>
      ) : null}
    </main>
  );
}

function TraceView({ trace, summary }: { trace: JaegerTrace; summary: TraceSummary }): JSX.Element {
  const waterfall = useMemo(() => toWaterfall(trace), [trace]);
  const [open, setOpen] = useState<string>();
  return (
    <section class="card trace" aria-labelledby="trace-title">
      <div class="trace-head">
        <h1 id="trace-title">
          {summary.path === '' ? summary.name : `${summary.method} ${summary.path}`}
          {summary.target !== '' && <span class="muted trace-target"> {toAddress(summary.target)}</span>}
        </h1>
        <StateBadge trace={summary} />
      </div>
      <p class="muted trace-facts">
        <span>{formatMs(summary.durationMs)}</span>
        <span>{plural(summary.spans, 'span')}</span>
        <span>{plural(summary.services.length, 'service')}</span>
        <span>{formatTime(summary.start)}</span>
        <span class="trace-id">
          <code>{trace.traceID}</code>
          <CopyButton text={trace.traceID} label="Copy id" />
        </span>
        <a href={`/api/traces/${trace.traceID}`} download={`trace-${trace.traceID}.json`}>
          Jaeger JSON
        </a>
      </p>
      {summary.broken.map((link) => (
        <Broken key={link.to} link={link} traceId={summary.traceId} />
      ))}
      {summary.broken.length === 0 && summary.state === 'incomplete' && (
        <p class="callout warn">Incomplete: {summary.missing}.</p>
      )}
      <Axis duration={waterfall.duration} />
      <ol class="waterfall">
        {waterfall.rows.map((row) => (
          <Row
            key={`${row.span.spanID}${row.kind}`}
            row={row}
            open={open === row.span.spanID + row.kind}
            onToggle={() => setOpen(open === row.span.spanID + row.kind ? undefined : row.span.spanID + row.kind)}
            trace={trace}
            start={waterfall.start}
          />
        ))}
      </ol>
      <Command text={explainTraceCommand(trace.traceID)} />
    </section>
  );
}

function Broken({ link, traceId }: { link: BrokenLink; traceId: string }): JSX.Element {
  const other = traceId === link.from ? link.to : link.from;
  return (
    <div class="callout warn" role="note">
      <p>
        <strong>
          {link.certain ? '' : 'Most likely '}
          {link.app} dropped the trace headers.
        </strong>{' '}
        While it served {traceId === link.from ? 'this request' : 'another trace'}, its call to{' '}
        {toAddress(link.service)} began {traceId === link.from ? 'a trace of its own' : 'this one anew'}:{' '}
        <a href={traceHref(other)}>the other half</a>.
      </p>
      <p>An app must pass on what it got. With express and fetch:</p>
      <pre>
        <code>{`const names = ['traceparent', 'tracestate', 'baggage', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled'];
const passed = Object.fromEntries(names.filter((n) => req.headers[n]).map((n) => [n, req.headers[n]]));
await fetch(url, { headers: { ...passed, ...own } });`}</code>
      </pre>
    </div>
  );
}

function Axis({ duration }: { duration: number }): JSX.Element {
  const ticks = toTicks(duration, 5).filter((tick) => tick <= duration * 0.94);
  return (
    <div class="axis" aria-hidden="true">
      {ticks.map((tick) => (
        <span key={tick} style={{ left: `${(tick / duration) * 100}%` }}>
          {tick === 0 ? '0' : formatMs(tick / 1_000)}
        </span>
      ))}
    </div>
  );
}

interface RowProps {
  readonly row: WaterfallRow;
  readonly open: boolean;
  readonly onToggle: () => void;
  readonly trace: JaegerTrace;
  readonly start: number;
}

function Row({ row, open, onToggle, trace, start }: RowProps): JSX.Element {
  const { span, depth, service, color, kind, failed, denied, left, width } = row;
  const tone = denied ? 'denied' : failed ? 'failed' : '';
  const kindText = { client: 'calls', server: 'serves' }[kind] ?? '';
  const duration = formatMs(span.duration / 1_000);
  return (
    <li class={open ? 'open' : ''}>
      <button type="button" class={`span-row ${tone}`} aria-expanded={open} onClick={onToggle}>
        <span class="span-name" style={{ paddingLeft: `${Math.min(depth, 12) * 14}px` }}>
          <span class={`swatch c${color % 8}`} aria-hidden="true" />
          <span class="span-service">{service}</span> <span class="muted">{kindText}</span>{' '}
          <span class="span-operation">{span.operationName}</span>
          {denied && <span class="bad-text"> ✖ denied</span>}
          {failed && !denied && <span class="bad-text"> ! failed</span>}
        </span>
        <span class="span-time">
          <span
            class={`span-bar c${color % 8} ${kind}`}
            style={{
              left: `${left * 100}%`,
              width: `max(3px, ${width * 100}%)`,
            }}
          />
        </span>
        <span class="span-duration">{duration}</span>
      </button>
      {open && <SpanDetail span={span} process={trace.processes[span.processID]} start={start} />}
    </li>
  );
}
