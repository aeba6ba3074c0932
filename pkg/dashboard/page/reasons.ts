import type { Flow } from '../../observability/flows.ts';
import { toAddress } from './format.ts';

/** Why calls of a flow are decided as they are, in a sentence. */
export function sayWhy(flow: Flow): string {
  const { verdict, reason, rule, source, service } = flow;
  const from = source === '' ? 'a peer without a sidecar' : source;
  if (verdict === 'allowed') {
    if (reason !== '') return `Failed: ${reasonTexts[reason]?.(from, toAddress(service)) ?? `${reason}.`}`;
    return rule === '' ? 'Allowed.' : `Allowed by TrafficTarget ${rule}.`;
  }
  const would = verdict === 'would-deny' ? 'Passes now; would be denied in enforce mode: ' : 'Denied: ';
  return (
    would + (reasonTexts[reason]?.(from, toAddress(service)) ?? (reason === '' ? 'no reason was given.' : `${reason}.`))
  );
}

const reasonTexts: Readonly<Record<string, (from: string, to: string) => string>> = {
  NoTarget: (_from, to) => `no TrafficTarget grants anything on ${to}.`,
  SourceNotAllowed: (from, to) => `there are TrafficTargets for ${to}, but none names ${from} as a source.`,
  RequestNotAllowed: (from, to) => `${from} may call ${to}, but not with this method, path, header or port.`,
  PlaintextRefused: (_from, to) => `${to} takes only mutual TLS, and this call came without a sidecar.`,
  Unavailable: (_from, to) => `no ready endpoint is behind ${to}.`,
};
