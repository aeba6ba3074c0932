import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Flow } from '../../observability/flows.ts';
import type { MeshReport } from '../dashboard.ts';
import { useNow, useResource } from './api.ts';
import { EdgePanel } from './edge-panel.tsx';
import { FlowTable } from './flow-table.tsx';
import { Graph } from './graph.tsx';
import { toGraph } from './graph-model.ts';
import { Card, Choice, Command, Empty } from './ui.tsx';

type Window = '1m' | '5m' | '15m';

const windows: readonly { readonly value: Window; readonly text: string }[] = [
  { value: '1m', text: '1 min' },
  { value: '5m', text: '5 min' },
  { value: '15m', text: '15 min' },
];

/** The picture and its evidence. */
export function Traffic({ mesh }: { mesh: MeshReport }): JSX.Element {
  const [since, setSince] = useState<Window>('15m');
  const [selected, setSelected] = useState<string>();
  const { value: flows } = useResource<Flow[]>(`/api/flows?since=${since}`, ['traffic']);
  const now = useNow(5_000);
  const { value: known } = useResource<Flow[]>(since === '15m' ? undefined : '/api/flows?since=15m', ['traffic']);
  const model = useMemo(() => toGraph(mesh, flows ?? [], known), [mesh, flows, known]);
  const edge = model.edges.find(({ id }) => id === selected);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') setSelected(undefined);
    };
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, []);
  const select = (flow: Flow): void => {
    setSelected(model.edges.find(({ flows: own }) => own.includes(flow))?.id);
    document.getElementById('traffic')?.scrollIntoView({ block: 'start' });
  };
  return (
    <Card
      id="traffic"
      title="Who calls whom"
      aside={<Choice label="Window" value={since} options={windows} onChange={setSince} />}
    >
      {model.nodes.length === 0 ? (
        <NoWorkloads mesh={mesh} />
      ) : (
        <>
          <div class="picture">
            <Graph model={model} selected={selected} onSelect={setSelected} />
            {edge !== undefined && <EdgePanel edge={edge} now={now} onClose={() => setSelected(undefined)} />}
          </div>
          <Legend sampling={mesh.sampling} />
          {flows !== undefined && flows.length === 0 ? (
            <NoTraffic mesh={mesh} since={since} />
          ) : (
            <FlowTable flows={flows ?? []} onSelect={select} />
          )}
        </>
      )}
    </Card>
  );
}

function Legend({ sampling }: { sampling: number | undefined }): JSX.Element {
  return (
    <p class="legend">
      <span class="key allowed">allowed</span>
      <span class="key errors">with errors</span>
      <span class="key denied">✖ denied</span>
      <span class="key would-deny">◐ would be denied</span>
      <span class="muted">Choose a number to see why.</span>
      {sampling !== undefined && sampling < 1 && (
        <span class="muted">Of the sampled traces only: {Math.round(sampling * 1_000) / 10} %.</span>
      )}
    </p>
  );
}

function NoWorkloads({ mesh }: { mesh: MeshReport }): JSX.Element {
  return (
    <Empty title="No workloads yet">
      <p>
        {mesh.inputs.length > 0
          ? `Nothing that runs was found in ${mesh.inputs.join(', ')}. Add a Deployment and its Service there: it shows here at once.`
          : 'Add a Deployment and its Service to the files that this mesh reads: it shows here at once.'}
      </p>
      <p>Or look at a mesh that is complete:</p>
      <Command text="tulle demo" />
    </Empty>
  );
}

function NoTraffic({ mesh, since }: { mesh: MeshReport; since: Window }): JSX.Element {
  const service = mesh.services.find(({ ports }) => ports[0]?.protocol === 'http');
  const account =
    mesh.pods.find(({ account: name }) => !service?.accounts.includes(name))?.account ?? 'default/default';
  return (
    <Empty title={`No request in the last ${since === '1m' ? 'minute' : `${Number.parseInt(since, 10)} minutes`}`}>
      {service !== undefined && (
        <>
          <p>Send one as one of the workloads:</p>
          <Command
            text={`tulle run --as ${account} -- curl http://${service.name}.${service.namespace}:${service.ports[0]?.port ?? 80}/`}
          />
        </>
      )}
    </Empty>
  );
}
