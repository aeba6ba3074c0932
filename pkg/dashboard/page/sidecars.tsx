import type { JSX } from 'preact';
import type { MeshReport } from '../dashboard.ts';
import type { PodState, ProxyState } from '../mesh-view.ts';
import { Badge, Card, Empty, Name } from './ui.tsx';

interface Row {
  readonly pod: string;
  readonly state: PodState | undefined;
  readonly proxy: ProxyState | undefined;
}

export function Sidecars({ mesh }: { mesh: MeshReport }): JSX.Element {
  const rows: Row[] = mesh.pods.map((state) => ({
    pod: state.pod,
    state,
    proxy: mesh.proxies.find(({ pod }) => pod === state.pod),
  }));
  for (const proxy of mesh.proxies) {
    if (!mesh.pods.some(({ pod }) => pod === proxy.pod)) rows.push({ pod: proxy.pod, state: undefined, proxy });
  }
  return (
    <Card id="sidecars" title="Workloads and sidecars">
      {rows.length === 0 ? (
        <Empty title="No sidecar is connected">
          <p>Each pod of the mesh gets one; it shows here with what it has acknowledged.</p>
        </Empty>
      ) : (
        <table class="sidecars">
          <thead>
            <tr>
              <th scope="col">Pod</th>
              <th scope="col">Account</th>
              <th scope="col">Workload</th>
              <th scope="col">Sidecar</th>
              <th scope="col">Policy</th>
              <th scope="col">Open</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <SidecarRow key={`${row.pod}${row.proxy?.nodeId ?? ''}`} {...row} />
            ))}
          </tbody>
        </table>
      )}
    </Card>
  );
}

function SidecarRow({ pod, state, proxy }: Row): JSX.Element {
  const account = state?.account ?? proxy?.identity.replace(/^.*\/ns\/([^/]+)\/sa\//, '$1/') ?? '';
  const address = state?.address !== undefined && /^https?:\/\//.test(state.address) ? state.address : undefined;
  return (
    <tr>
      <td data-label="Pod">{pod === '' ? <span class="muted">a client</span> : <Name of={pod} />}</td>
      <td data-label="Account">
        <Name of={account} />
      </td>
      <td data-label="Workload">
        {state === undefined ? (
          <span class="muted">–</span>
        ) : (
          <Badge tone={state.ready ? 'ok' : 'warn'}>{state.ready ? 'ready' : 'not ready'}</Badge>
        )}
      </td>
      <td data-label="Sidecar">{proxy?.kind ?? state?.sidecar ?? '–'}</td>
      <td data-label="Policy">
        <Sync state={state} proxy={proxy} />
      </td>
      <td data-label="Open">
        {address === undefined ? (
          <span class="muted">–</span>
        ) : (
          <a href={address} target="_blank" rel="noreferrer noopener">
            {address.replace(/^https?:\/\//, '')}
          </a>
        )}
      </td>
    </tr>
  );
}

function Sync({ state, proxy }: { state: PodState | undefined; proxy: ProxyState | undefined }): JSX.Element {
  if (proxy === undefined) {
    return state?.sidecar === 'none' ? (
      <span class="muted">not in the mesh</span>
    ) : (
      <Badge tone="bad">not connected</Badge>
    );
  }
  const refused = proxy.types.find(({ nack }) => nack !== undefined);
  if (refused !== undefined) {
    return (
      <>
        <Badge tone="bad">refused {shortType(refused.typeUrl)}</Badge>
        <p class="nack">{refused.nack}</p>
      </>
    );
  }
  const waiting = proxy.types.filter(({ synced }) => !synced).map(({ typeUrl }) => shortType(typeUrl));
  return waiting.length === 0 ? (
    <Badge tone="ok">in sync</Badge>
  ) : (
    <Badge tone="warn">waits for {waiting.join(', ')}</Badge>
  );
}

/** `type.googleapis.com/tulle.policy.v1.EndpointSet` → `EndpointSet`. */
function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}
