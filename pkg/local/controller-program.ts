import type { ProcessSpec } from './launcher-protocol.ts';

/** The control plane as a process of its own: it may be killed and started again while traffic goes on. */
export interface ControllerProgram {
  /** `http://127.0.0.1:PORT`; another one after a start that found its port taken. */
  readonly api: string;
  /** Writes its configuration; the process to run. */
  readonly prepare: () => Promise<ProcessSpec>;
}
