import type { JSX } from 'preact';
import type { JaegerProcess, JaegerSpan } from '../../observability/jaeger-json.ts';
import type { Tag } from '../../observability/span.ts';
import { formatMs } from './format.ts';
import { traceHref } from './route.ts';

interface SpanDetailProps {
  readonly span: JaegerSpan;
  readonly process: JaegerProcess | undefined;
  /** Start of the trace, µs. */
  readonly start: number;
}

/** All that is known of a span: what the mesh decided first, then the rest. */
export function SpanDetail({ span, process, start }: SpanDetailProps): JSX.Element {
  const ours = span.tags.filter(({ key }) => key.startsWith('tulle.'));
  const others = span.tags.filter(({ key }) => !key.startsWith('tulle.'));
  const links = span.references.filter(({ traceID }) => traceID !== span.traceID);
  return (
    <div class="span-detail">
      <p class="muted">
        span <code>{span.spanID}</code>, starts at {formatMs((span.startTime - start) / 1_000)}, lasts{' '}
        {formatMs(span.duration / 1_000)}
      </p>
      {span.warnings?.map((warning) => (
        <p key={warning} class="muted">
          {warning}
        </p>
      ))}
      <div class="tag-groups">
        <Tags title="Mesh" tags={ours} />
        <Tags title="Request" tags={others} />
        <Tags title="Process" tags={process?.tags ?? []} />
      </div>
      {span.logs.map((log) => (
        <Tags key={log.timestamp} title={`Event at ${formatMs((log.timestamp - start) / 1_000)}`} tags={log.fields} />
      ))}
      {links.map((link) => (
        <p key={link.spanID}>
          Linked to <a href={traceHref(link.traceID)}>trace {link.traceID}</a>
        </p>
      ))}
    </div>
  );
}

function Tags({ title, tags }: { title: string; tags: readonly Tag[] }): JSX.Element | null {
  if (tags.length === 0) return null;
  return (
    <div class="tags">
      <h3>{title}</h3>
      <dl>
        {tags.map(({ key, value }, index) => (
          <div key={`${key}${index}`}>
            <dt>{key.replace(/^tulle\./, '')}</dt>
            <dd>{String(value)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
