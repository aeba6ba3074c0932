import { type Command, InvalidArgumentError, Option } from 'commander';
import type { MeshConfig } from '../catalog/snapshot.ts';

/** What a user may set of the whole mesh; what is left out is as it was, or as it comes. */
export interface MeshConfigFlags {
  readonly mode?: MeshConfig['mode'];
  readonly pathMatch?: MeshConfig['pathMatch'];
  readonly trustDomain?: string;
  readonly sampling?: number;
  readonly egress?: MeshConfig['egress'];
}

const defaults: MeshConfig = {
  mode: 'enforce',
  modeFrom: 'default',
  trustDomain: 'cluster.local',
  pathMatch: 'full',
  egress: 'deny',
  tracing: { sampling: 1 },
};

/** The settings of a mesh: the flags over `before`, those of a running mesh or what holds without any flag. */
export function toMeshConfig(flags: MeshConfigFlags, before: MeshConfig = defaults): MeshConfig {
  const { mode, pathMatch, trustDomain, sampling, egress } = flags;
  return {
    mode: mode ?? before.mode,
    modeFrom: mode === undefined ? before.modeFrom : 'flag --mode',
    trustDomain: trustDomain ?? before.trustDomain,
    pathMatch: pathMatch ?? before.pathMatch,
    egress: egress ?? before.egress,
    tracing: { sampling: sampling ?? before.tracing.sampling },
  };
}

/** For commands that ask a mesh, where its own setting holds, or files. */
export const ofMeshOr = 'that of the mesh, or ';

export function modeOption(before = ''): Option {
  return new Option(
    '--mode <mode>',
    `policy mode, where a namespace sets none (default: ${before}${defaults.mode})`,
  ).choices(['enforce', 'permissive', 'shadow']);
}

export function pathMatchOption(before = ''): Option {
  return new Option(
    '--path-match <how>',
    `a pathRegex matches the whole path, or its start as the letter of SMI has it (default: ${before}${defaults.pathMatch})`,
  ).choices(['full', 'start']);
}

/** What a mesh is started with, beside what concerns its policy alone. */
export function addConfigOptions(command: Command): Command {
  return command
    .addOption(modeOption())
    .addOption(pathMatchOption())
    .option('--sampling <ratio>', 'share of the calls that are traced, 0 to 1 (default: 1)', toRatio)
    .option('--trust-domain <name>', 'root of all identities (default: cluster.local)', toTrustDomain)
    .addOption(
      new Option('--egress <what>', 'calls to hosts outside of the mesh (default: deny)').choices(['allow', 'deny']),
    );
}

function toRatio(value: string): number {
  const ratio = Number(value);
  if (value.trim() === '' || !(ratio >= 0 && ratio <= 1)) {
    throw new InvalidArgumentError('a ratio is a number from 0 to 1, 0.01 for one call in a hundred.');
  }
  return ratio;
}

function toTrustDomain(value: string): string {
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(value) || value.length > 253) {
    throw new InvalidArgumentError('a trust domain is written as a DNS name, in lower case.');
  }
  return value;
}
