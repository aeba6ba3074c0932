import type { CliContext } from './context.ts';
import type { ControllerFlags } from './program.ts';

/** `tulle controller -f DIR`: the control plane alone. */
export function runControllerCommand(context: CliContext, flags: ControllerFlags): Promise<number> {
  throw new Error(`not yet: ${context.cwd} ${flags.mode}`);
}
