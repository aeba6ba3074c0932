import type { Clock } from '../../certs/clock.ts';
import type { Logger } from '../../observability/logger.ts';
import type { JsonObject } from '../../smi/reader.ts';
import type { Cluster, QueryValues } from './cluster.ts';
import type { ClusterError } from './cluster-error.ts';

/** Where the objects of a kind are found, in the version that they are read in. */
export interface ResourcePath {
  /** `/apis/split.smi-spec.io/v1alpha4/trafficsplits`. */
  readonly path: string;
  readonly apiVersion: string;
  readonly kind: string;
}

export interface ReflectedResource<T> {
  /** For people: `pods`, `trafficsplits.split.smi-spec.io`. */
  readonly name: string;
  readonly kind: string;
  /** Asked before each listing. Undefined: the kind is not installed. */
  readonly locate: () => Promise<ResourcePath | undefined>;
  /** Selectors. */
  readonly query?: QueryValues;
  /**
   * What is kept of an object, made anew; undefined: nothing. The object is given up afterwards: nothing that isn't
   * used may be part of the result, for all the objects of a cluster are held in memory.
   */
  readonly trim: (raw: JsonObject, at: ResourcePath) => T | undefined;
}

export interface Kept<T> {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly value: T;
}

/** `before` without `after`: it is gone. Two uids: it was deleted and made again. */
export interface Change<T> {
  readonly before?: Kept<T>;
  readonly after?: Kept<T>;
}

export interface ReflectorStatus {
  readonly resource: string;
  /** What there is was read whole, at least once; `items` may be relied on. */
  readonly synced: boolean;
  readonly phase: 'listing' | 'watching' | 'waiting' | 'absent' | 'ended';
  readonly objects: number;
  /** When the API server was last heard of, in milliseconds since 1970; 0: never. */
  readonly heardAt: number;
  /** How often listing or watching ended otherwise than planned, by reason. */
  readonly failures: ReadonlyMap<string, number>;
  /** Why it is waiting. */
  readonly error?: ClusterError;
}

export interface Reflector<T> {
  /** By `namespace/name`. An object whose kept part did not change is the same reference. */
  readonly items: ReadonlyMap<string, Kept<T>>;
  status(): ReflectorStatus;
  /** Settles when the signal has been aborted. */
  readonly done: Promise<void>;
}

export interface ReflectorOptions<T> {
  readonly cluster: Pick<Cluster, 'request' | 'openStream'>;
  readonly resource: ReflectedResource<T>;
  /** Called with every change, at once; the first listing, or a listing after a gap, is one call. Must not throw. */
  readonly onChange: (changes: readonly Change<T>[]) => void;
  /** Called when `status` became another; not for each event. */
  readonly onStatus?: () => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  readonly log: Logger;
  readonly timing?: Partial<ReflectorTiming>;
}

export interface ReflectorTiming {
  readonly backoffMs: readonly [least: number, most: number];
  /** A watch that lasted so long was a good one: the next failure starts with the least delay again. */
  readonly steadyMs: number;
  /** The API server ends a watch after this, chosen at random: no half-open connection lives longer. */
  readonly watchSeconds: readonly [least: number, most: number];
  /** Bookmarks come each minute: a watch that is silent for longer is dead. */
  readonly silenceMs: number;
  /** How often a kind that isn't installed is looked for. */
  readonly absentMs: number;
}
