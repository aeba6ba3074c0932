import type { CertificateAuthority, RotationStep } from './authority.ts';
import type { Clock } from './clock.ts';

export interface RotationTimes {
  /** Milliseconds. */
  readonly leafLifetime: number;
}

export interface RotationState {
  readonly step: RotationStep;
  readonly since: number;
  readonly root: { readonly notBefore: number; readonly notAfter: number };
}

const hour = 3_600_000;

/**
 * When the next step of a root rotation is due (DECISIONS I3). A root is replaced at 2/3 of its life. The new one signs
 * once everybody has had time to learn of it; the old one goes when the last leaf that it signed has expired.
 */
function dueAt({ step, since, root }: RotationState, { leafLifetime }: RotationTimes): number {
  switch (step) {
    case 'steady':
      return root.notBefore + ((root.notAfter - root.notBefore) * 2) / 3;
    case 'announced':
      return since + Math.min(leafLifetime / 4, hour);
    case 'switched':
      return since + leafLifetime;
  }
}

export interface RotationOptions extends RotationTimes {
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onStep: (step: RotationStep) => void;
  readonly onError: (error: unknown) => void;
}

/** Takes the steps of root rotation when they are due, until the signal is aborted; also those begun by hand. */
export function runRootRotation({ authority, clock, signal, onStep, onError, leafLifetime }: RotationOptions): void {
  let cancel = (): void => undefined;

  function plan(): void {
    cancel();
    if (signal.aborted) return;
    const due = dueAt({ ...authority.rotation(), root: authority.issuer() }, { leafLifetime });
    cancel = clock.at(due, () => {
      authority.rotate().then(onStep, (error: unknown) => {
        onError(error);
        cancel = clock.at(clock.now() + leafLifetime / 10, plan);
      });
    });
  }

  const unsubscribe = authority.subscribe(plan);
  signal.addEventListener('abort', () => {
    cancel();
    unsubscribe();
  });
  plan();
}
