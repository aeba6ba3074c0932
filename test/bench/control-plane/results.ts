import type { Connected } from './client.ts';
import type { ChangeKind, MeshShape } from './mesh-files.ts';

export const engines = ['tulle', 'peer'] as const;
export type Engine = (typeof engines)[number];

export interface Cell {
  readonly shape: MeshShape;
  /** Over TLS 1.3 with a token each, as sidecars connect; without, what they cost is not in the figures. */
  readonly isSecured: boolean;
  readonly kinds: readonly ChangeKind[];
  readonly repetitions: number;
  readonly rounds: number;
}

/** One change: milliseconds are from the rename of the file to the ACK. */
export interface Round {
  readonly p50: number;
  readonly p99: number;
  readonly last: number;
  readonly bytes: number;
  readonly responses: number;
  /** Responses to proxies that the change does not concern. */
  readonly strays: number;
  readonly cpu: number;
  readonly pause: number;
}

export interface Storm extends Connected {
  readonly cpu: number;
  readonly pause: number;
}

export interface Repetition {
  readonly cold: Storm;
  readonly reconnect: Storm;
  readonly changes: ReadonlyMap<ChangeKind, readonly Round[]>;
  readonly settled: number;
  readonly peak: number;
  /** CPU of doing nothing, in milliseconds per second. */
  readonly idle: number;
}

export type Results = ReadonlyMap<Cell, ReadonlyMap<Engine, readonly Repetition[]>>;

export function toName({ shape: { services, proxies, mode } }: Pick<Cell, 'shape'>): string {
  return `${services}x${proxies}-${mode}`;
}

export const engineNames: Readonly<Record<Engine, string>> = { tulle: 'Tulle', peer: 'bytes only' };
