import type { JSX } from 'preact';
import type { Problem, Severity } from '../../problem/problem.ts';
import type { MeshReport } from '../dashboard.ts';
import { plural } from './format.ts';
import type { Tone } from './ui.tsx';
import { Badge, Card, CopyButton, Empty } from './ui.tsx';

const tones: Readonly<Record<Severity, Tone>> = {
  error: 'bad',
  warning: 'warn',
  info: 'neutral',
};
const order: readonly Severity[] = ['error', 'warning', 'info'];

export function Problems({ mesh }: { mesh: MeshReport }): JSX.Element {
  const sorted = [...mesh.problems].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
  return (
    <Card id="problems" title="Problems">
      {sorted.length === 0 ? (
        <Empty title="No problems">
          <p>
            Every object that was read is in force
            {mesh.inputs.length > 0 ? `: ${mesh.inputs.join(', ')}` : ''}.
          </p>
        </Empty>
      ) : (
        <ul class="problems">
          {sorted.map((problem, index) => (
            <Item key={`${index}${problem.reason}`} problem={problem} />
          ))}
        </ul>
      )}
      {sorted.length > 0 && (
        <p class="muted">
          {plural(sorted.length, 'problem')}. What is wrong grants nothing; its neighbours stay in force.
        </p>
      )}
    </Card>
  );
}

function Item({ problem }: { problem: Problem }): JSX.Element {
  const { resource, field, severity, reason, message, fix, position } = problem;
  const place = position && `${position.file}:${position.line}:${position.column}`;
  const object = resource.name === '' ? resource.kind : `${resource.kind} ${resource.namespace}/${resource.name}`;
  return (
    <li class={`problem ${severity}`}>
      <p class="problem-head">
        <Badge tone={tones[severity]}>{reason}</Badge>
        <span>{object}</span>
        {field !== '' && <code class="muted">{field}</code>}
      </p>
      <p class="problem-message">{capital(message)}.</p>
      <p>
        <strong>Fix:</strong> {fix}.
      </p>
      {place !== undefined && (
        <p class="place">
          <code>{place}</code>
          <CopyButton text={place} />
        </p>
      )}
    </li>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
