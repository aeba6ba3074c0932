import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { MeshReport } from '../dashboard.ts';
import type { Connection } from './api.ts';
import { plural } from './format.ts';
import type { Theme } from './theme.ts';
import { applyTheme, readTheme } from './theme.ts';
import type { Tone } from './ui.tsx';
import { Badge } from './ui.tsx';

const modeTones: Readonly<Record<MeshReport['mode'], Tone>> = {
  enforce: 'ok',
  shadow: 'shadow',
  permissive: 'warn',
};
const modeTexts: Readonly<Record<MeshReport['mode'], string>> = {
  enforce: 'Only what a TrafficTarget allows passes',
  shadow: 'Everything passes; what would be denied is reported',
  permissive: 'Everything passes',
};

export function Header({ mesh, connection }: { mesh: MeshReport | undefined; connection: Connection }): JSX.Element {
  return (
    <header class="header">
      <div class="header-row">
        <a class="brand" href="#/" aria-label="Tulle, overview">
          <Logo />
          <span class="brand-name">Tulle</span>
          {mesh && <span class="mesh-id">{mesh.id}</span>}
        </a>
        {mesh && <Facts mesh={mesh} />}
        <div class="header-end">
          <Live connection={connection} />
          <ThemeButton />
        </div>
      </div>
      {connection === 'lost' && (
        <p class="lost" role="status">
          The control plane does not answer. Traffic goes on under the last policy; this page shows what was last known
          and asks again by itself.
        </p>
      )}
    </header>
  );
}

function Facts({ mesh }: { mesh: MeshReport }): JSX.Element {
  const errors = mesh.problems.filter(({ severity }) => severity === 'error').length;
  const warnings = mesh.problems.filter(({ severity }) => severity === 'warning').length;
  const synced = mesh.proxies.filter(({ types }) => types.every((type) => type.synced)).length;
  const refused = mesh.proxies.filter(({ types }) => types.some(({ nack }) => nack !== undefined)).length;
  return (
    <ul class="facts">
      <li>
        <Badge tone={modeTones[mesh.mode]} title={`${modeTexts[mesh.mode]}; set by ${mesh.modeFrom}`}>
          {mesh.mode}
        </Badge>
        <span class="fact-note">{mesh.modeFrom}</span>
      </li>
      <li>
        <a href="#sidecars">
          <Badge
            tone={
              refused > 0 ? 'bad' : synced < mesh.proxies.length ? 'warn' : mesh.proxies.length === 0 ? 'neutral' : 'ok'
            }
          >
            {mesh.proxies.length === 0 ? 'no sidecars' : `${synced}/${mesh.proxies.length} in sync`}
          </Badge>
        </a>
      </li>
      <li>
        <a href="#problems">
          <Badge tone={errors > 0 ? 'bad' : warnings > 0 ? 'warn' : 'ok'}>
            {errors > 0 ? plural(errors, 'error') : warnings > 0 ? plural(warnings, 'warning') : 'no problems'}
          </Badge>
        </a>
      </li>
      <li class="fact-note wide" title="How workloads are intercepted, and what is read">
        {mesh.isolation === 'proxy' ? 'by proxy: a rehearsal, not a boundary' : mesh.isolation}
        {mesh.inputs.length > 0 && ` · ${mesh.inputs.join(', ')}`}
      </li>
    </ul>
  );
}

function Live({ connection }: { connection: Connection }): JSX.Element {
  const text = { connecting: 'connecting', live: 'live', lost: 'no contact' }[connection];
  return (
    <span class={`live ${connection}`} role="status">
      <span class="dot" aria-hidden="true" />
      {text}
    </span>
  );
}

const nextTheme: Readonly<Record<Theme, Theme>> = {
  auto: 'light',
  light: 'dark',
  dark: 'auto',
};

function ThemeButton(): JSX.Element {
  const [theme, setTheme] = useState(readTheme);
  const change = (): void => {
    applyTheme(nextTheme[theme]);
    setTheme(nextTheme[theme]);
  };
  const icon = { auto: '◐', light: '☀', dark: '☾' }[theme];
  return (
    <button
      type="button"
      class="icon-button"
      onClick={change}
      aria-label={`Theme: ${theme}. Change`}
      title={`Theme: ${theme}`}
    >
      <span aria-hidden="true">{icon}</span>
    </button>
  );
}

function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M7 10h18M16 10v14M10 10c0 6 6 6 6 14M22 10c0 6-6 6-6 14" />
    </svg>
  );
}
