import type { JSX } from 'preact';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import type { MeshReport } from '../dashboard.ts';
import { followChanges, useConnection, useResource } from './api.ts';
import { Header } from './header.tsx';
import './page.css';
import { Problems } from './problems.tsx';
import { useRoute } from './route.ts';
import { Sidecars } from './sidecars.tsx';
import { Splits } from './splits.tsx';
import { applyTheme, readTheme } from './theme.ts';
import { Traces } from './traces.tsx';
import { Traffic } from './traffic.tsx';
import { TracePage } from './waterfall.tsx';

function Page(): JSX.Element {
  const route = useRoute();
  const connection = useConnection();
  const { value: mesh, error } = useResource<MeshReport>('/api/mesh', ['mesh', 'traffic']);
  useEffect(() => {
    if (mesh !== undefined) document.title = `${mesh.id} · Tulle`;
  }, [mesh?.id]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header mesh={mesh} connection={connection} />
      {route.page === 'trace' ? (
        <TracePage traceId={route.traceId} />
      ) : mesh === undefined ? (
        <p class="loading">{error ?? 'Loading…'}</p>
      ) : (
        <Overview mesh={mesh} />
      )}
    </>
  );
}

const sections = [
  ['traffic', 'Traffic'],
  ['splits', 'Splits'],
  ['problems', 'Problems'],
  ['traces', 'Traces'],
  ['sidecars', 'Sidecars'],
] as const;

function Overview({ mesh }: { mesh: MeshReport }): JSX.Element {
  useEffect(() => {
    // Coming back from a trace, the place to go to was not there when the address changed.
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, []);
  return (
    <main class="main" id="main">
      <nav class="sections" aria-label="Sections">
        {sections.map(([id, text]) => (
          <a key={id} href={`#${id}`}>
            {text}
          </a>
        ))}
      </nav>
      <Traffic mesh={mesh} />
      <div class="pair">
        <Splits mesh={mesh} />
        <Problems mesh={mesh} />
      </div>
      <Traces />
      <Sidecars mesh={mesh} />
    </main>
  );
}

applyTheme(readTheme());
followChanges();
const root = document.getElementById('page');
if (root !== null) {
  root.replaceChildren();
  render(<Page />, root);
}
