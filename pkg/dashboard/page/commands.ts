import type { Flow } from '../../observability/flows.ts';
import { toAddress } from './format.ts';

/** The command that tells why calls like these are decided as they are. */
export function explainCommand(flow: Flow): string {
  const { method, path } = flow.example;
  const target = `${flow.source === '' ? '-' : flow.source} ${toAddress(flow.service)}`;
  return `tulle explain ${target}${method === '' ? '' : ` ${method} ${quote(path)}`}`;
}

export function explainTraceCommand(traceId: string): string {
  return `tulle explain --trace ${traceId}`;
}

/** Writes the TrafficTarget that would allow a denied call. */
export function suggestCommand(traceId: string): string {
  return `tulle suggest --trace ${traceId}`;
}

function quote(text: string): string {
  return /^[\w/.,:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
