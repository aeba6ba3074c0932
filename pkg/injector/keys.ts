import { fastStartKey, type FoundKey, injectedKey } from '../provider/objects/mesh-keys.ts';

export type Keyed = Readonly<Record<string, string>> | undefined;

/** Keys of ours alone. */
export const ownKeys = {
  injected: injectedKey,
  fastStart: fastStartKey,
  /** Which mesh's sidecar it is, where there are several in a cluster. */
  mesh: 'tulle.dev/mesh',
  logLevel: 'tulle.dev/log-level',
  image: 'tulle.dev/sidecar-image',
  preStopSleep: 'tulle.dev/pre-stop-sleep',
  cpuRequest: 'tulle.dev/sidecar-cpu-request',
  cpuLimit: 'tulle.dev/sidecar-cpu-limit',
  memoryRequest: 'tulle.dev/sidecar-memory-request',
  memoryLimit: 'tulle.dev/sidecar-memory-limit',
} as const;

/** A pod that can't be injected as it stands; the message is the API server's answer to whoever creates it. */
export class InjectionRefused extends Error {
  override readonly name = 'InjectionRefused';
}

/** `enabled`, `yes`, `true`, `disabled`, `no`, `false` in any case, as OSM has them. */
export function decodeSwitch({ key, value }: FoundKey, where: string): boolean {
  switch (value.toLowerCase()) {
    case 'enabled':
    case 'yes':
    case 'true':
      return true;
    case 'disabled':
    case 'no':
    case 'false':
      return false;
    default:
      throw new InjectionRefused(
        `annotation ${key} of ${where} is "${value}": write "enabled" or "disabled" (yes, no, true and false do too)`,
      );
  }
}
