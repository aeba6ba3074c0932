import { join } from 'node:path';
import { envoySidecar } from '../local/envoy/envoy-sidecar.ts';
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
  /** Path of an Envoy; throws with what to do when there is none. */
  readonly findEnvoy: () => string;
}

/** The data planes that this installation has. */
export function createSidecars({
  run,
  node,
  dist,
  redirect,
  env,
  findEnvoy,
}: SidecarsOptions): ReadonlyMap<'node' | 'envoy', SidecarProgram> {
  return new Map<'node' | 'envoy', SidecarProgram>([
    ['node', nodeSidecar({ run, node, program: join(dist, 'sidecar.js'), redirect, env })],
    ['envoy', envoySidecar({ run, node, program: join(dist, 'envoy-sidecar.js'), findEnvoy, redirect, env })],
  ]);
}
