import { join } from 'node:path';
import type { RedirectTool } from '../local/isolation.ts';
import { nodeSidecar } from '../local/node-sidecar.ts';
import type { RunDirectory } from '../local/run-directory.ts';
import type { SidecarProgram } from '../local/sidecar-program.ts';

export interface SidecarsOptions {
  readonly run: Pick<RunDirectory, 'file'>;
  readonly node: string;
  /** Folder of the bundles. */
  readonly dist: string;
  readonly redirect: RedirectTool;
  readonly env: Readonly<Record<string, string>>;
}

/** The data planes that this installation has. */
export function createSidecars({
  run,
  node,
  dist,
  redirect,
  env,
}: SidecarsOptions): ReadonlyMap<'node' | 'envoy', SidecarProgram> {
  return new Map([['node', nodeSidecar({ run, node, program: join(dist, 'sidecar.js'), redirect, env })]]);
}
