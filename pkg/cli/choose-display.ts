import type { CliContext } from './context.ts';
import { createTerminalDisplay, type LiveDisplay } from './live-display.ts';
import { createJsonDisplay, createPlainDisplay } from './plain-display.ts';
import type { UpFlags } from './program.ts';

/** A table for who looks at a terminal, lines for a log, or data. */
export function chooseDisplay(
  context: CliContext,
  { output, logs }: Pick<UpFlags, 'output' | 'logs'>,
): LiveDisplay | ReturnType<typeof createTerminalDisplay> {
  if (output === 'json') return createJsonDisplay(context, Date.now);
  const live = context.stdout.isTTY === true && logs !== true;
  return live ? createTerminalDisplay(context) : createPlainDisplay(context, Date.now);
}
