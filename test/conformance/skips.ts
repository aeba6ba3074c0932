import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export type Runner = 'decide' | 'node' | 'envoy';

interface Skip {
  readonly runner: Runner;
  readonly scenario: string;
  /** As `titleOf` has it; absent: every call of the scenario. */
  readonly call?: string;
  /** Holds for versions of the runner below this one. */
  readonly below?: string;
  /** `reason`: the call must end as it should, and only why is not compared. */
  readonly part?: 'reason';
  readonly reason: string;
}

const skips = (parse(readFileSync(join(import.meta.dirname, 'skips.yaml'), 'utf8')) ?? []) as readonly Skip[];

/** Why a runner leaves a call out; undefined: it must hold. `version`: of the runner, where it has several. */
export function skipReason(runner: Runner, scenario: string, call: string, version?: string): string | undefined {
  return find(runner, scenario, call, undefined, version)?.reason;
}

/** True where a runner is not asked why a call is refused. */
export function skipsWhy(runner: Runner, scenario: string, call: string): boolean {
  return find(runner, scenario, call, 'reason', undefined) !== undefined;
}

function find(
  runner: Runner,
  scenario: string,
  call: string,
  part: Skip['part'],
  version: string | undefined,
): Skip | undefined {
  return skips.find(
    (skip) =>
      skip.runner === runner &&
      skip.scenario === scenario &&
      skip.part === part &&
      (skip.call === undefined || skip.call === call) &&
      (skip.below === undefined || (version !== undefined && isBelow(version, skip.below))),
  );
}

function isBelow(version: string, bound: string): boolean {
  return version.localeCompare(bound, 'en', { numeric: true }) < 0;
}
