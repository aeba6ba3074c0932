import type { JSX } from 'preact';
import type { MeshReport } from '../dashboard.ts';
import type { ObservedReport, SplitReport } from '../split-report.ts';
import { useNow } from './api.ts';
import { formatAge, formatCount, formatShare, plural, splitName } from './format.ts';
import { Badge, Card, Empty, Name } from './ui.tsx';

/** Fewer requests than this say nothing about a share. */
const fewest = 30;

export function Splits({ mesh }: { mesh: MeshReport }): JSX.Element {
  return (
    <Card id="splits" title="Splits, wanted and observed">
      {mesh.splits.length === 0 ? (
        <Empty title="No TrafficSplit">
          <p>
            Apply a TrafficSplit to share the traffic of a Service between versions; its weights show here beside what
            really happens.
          </p>
        </Empty>
      ) : (
        <div class="splits">
          {mesh.splits.map((split) => (
            <Split key={split.split} split={split} />
          ))}
        </div>
      )}
    </Card>
  );
}

function Split({ split }: { split: SplitReport }): JSX.Element {
  const now = useNow();
  return (
    <article class="split">
      <div class="split-head">
        <h3>
          <Name of={split.split} />
        </h3>
        <Standing split={split} />
      </div>
      <p class="muted">
        {splitName(split.root).name}: {plural(split.total, 'request')}
        {split.since > 0 ? `, weights changed ${formatAge(now - split.since)}` : ''}
      </p>
      {split.observed.map((observed) => (
        <Backend key={observed.backend} split={split} observed={observed} />
      ))}
    </article>
  );
}

function Standing({ split }: { split: SplitReport }): JSX.Element {
  if (split.wanted.every(({ share }) => share === 0)) return <Badge tone="bad">no backend takes traffic: 503</Badge>;
  if (split.total === 0) return <Badge tone="neutral">no traffic yet</Badge>;
  if (split.observed.some(({ within }) => !within)) return <Badge tone="bad">not as wanted</Badge>;
  if (split.total < fewest) return <Badge tone="neutral">too few to tell</Badge>;
  return <Badge tone="ok">as wanted</Badge>;
}

function Backend({ split, observed }: { split: SplitReport; observed: ObservedReport }): JSX.Element {
  const wanted = split.wanted.filter(({ backend }) => backend === observed.backend);
  const share = wanted.reduce((sum, item) => sum + item.share, 0);
  const weight = wanted.reduce((sum, item) => sum + item.weight, 0);
  const excluded = wanted.find((item) => item.excluded !== undefined)?.excluded;
  const text =
    split.total === 0
      ? `want ${formatShare(share)}`
      : `want ${formatShare(share)}, saw ${formatShare(observed.share)} ± ${(observed.margin * 100).toFixed(1)} of ${formatCount(split.total)}`;
  const low = Math.max(0, observed.share - observed.margin);
  const high = Math.min(1, observed.share + observed.margin);
  return (
    <div class="backend">
      <div class="backend-text">
        <span class="name">{observed.backend}</span>
        <span class="muted"> weight {weight}</span>
        <span class={observed.within ? 'backend-share' : 'backend-share off'}>{text}</span>
      </div>
      <div class="bar" role="img" aria-label={`${observed.backend}: ${text}`}>
        <div class={observed.within ? 'bar-fill' : 'bar-fill off'} style={{ width: `${observed.share * 100}%` }} />
        {split.total > 0 && (
          <div class="bar-margin" style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} />
        )}
        <div class="bar-want" style={{ left: `${share * 100}%` }} />
      </div>
      {excluded !== undefined && <p class="bad-text">{excludedTexts[excluded]}</p>}
    </div>
  );
}

const excludedTexts = {
  BackendNotFound: 'No such Service: it takes no share, the others take it.',
  BackendPortMissing: 'It lacks the port of the root service: it takes no share, the others take it.',
};
