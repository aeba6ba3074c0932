import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createMeshBuilder } from '../catalog/build-mesh.ts';
import type { CertificateAuthority } from '../certs/authority.ts';
import type { Clock } from '../certs/clock.ts';
import { type LeafCertificates, openLeafCertificates } from '../certs/leaf-certificates.ts';
import { runRootRotation } from '../certs/rotation.ts';
import type { CertStore } from '../certs/store.ts';
import { toLeafNames } from '../certs/workload-names.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Problem } from '../problem/problem.ts';
import type { AdsServerLimits } from '../xds/server-limits.ts';
import { createMessageEncoder, type DescriptorNode, type MessageEncoder } from '../xds/message-encoder.ts';
import type { ControllerConfig } from './config.ts';
import { type ControlPlane, createControlPlane } from './control-plane.ts';
import { lazily } from './lazily.ts';

export interface CoreOptions {
  readonly config: ControllerConfig;
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  /** Where certificates of workloads survive a restart; absent: they don't. */
  readonly store?: CertStore;
  /** What the control plane's certificate says besides its fixed name. */
  readonly serviceNames?: readonly string[];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly onProblems?: (problems: readonly Problem[]) => void;
  /** Of what clients may ask for. */
  readonly limits?: Partial<AdsServerLimits>;
}

/** What is the same wherever the mesh is read from. */
export interface Core {
  readonly controlPlane: ControlPlane;
  readonly leaves: LeafCertificates;
  /** Changes the root when it is time, until the signal is aborted. */
  readonly rotateRoots: (signal: AbortSignal) => void;
}

const day = 86_400_000;

export function leafLifetime({ leafSeconds }: Pick<ControllerConfig, 'leafSeconds'>): number {
  return leafSeconds === undefined ? day : leafSeconds * 1000;
}

export async function openCore(options: CoreOptions): Promise<Core> {
  const { config, authority, clock, store, serviceNames, log, metrics, onProblems, limits } = options;
  const lifetime = leafLifetime(config);
  const onError = (error: unknown): void => log.error('certificates could not be kept up to date', { error });
  const leaves = await openLeafCertificates({
    authority,
    clock,
    random: () => randomInt(2 ** 32) / 2 ** 32,
    lifetime,
    namesOf: (owner) => toLeafNames(owner, serviceNames),
    ...(store ? { store } : {}),
    onError,
  });
  const builder = createMeshBuilder();
  const controlPlane = createControlPlane({
    ...config,
    authority,
    leaves,
    build: (snapshot) => builder.build(snapshot),
    loadEncoder: lazily(() => loadEncoder(config.protosFile)),
    log,
    metrics,
    ...(onProblems ? { onProblems } : {}),
    ...(limits ? { limits } : {}),
  });
  const onStep = (step: string): void => log.info('the root certificate is being changed', { step });
  return {
    controlPlane,
    leaves,
    rotateRoots: (signal) => runRootRotation({ authority, clock, signal, leafLifetime: lifetime, onStep, onError }),
  };
}

function loadEncoder(file: string): MessageEncoder {
  return createMessageEncoder(JSON.parse(readFileSync(file, 'utf8')) as DescriptorNode);
}
