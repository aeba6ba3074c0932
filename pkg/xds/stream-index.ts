/** Open streams, and whose they are once that is known: a change is offered to those whom it concerns, not to all. */
export interface StreamIndex<S> {
  readonly size: number;
  add(stream: S): void;
  /** It is a client's of this pod, or of none. */
  assign(stream: S, pod: string | undefined): void;
  delete(stream: S): void;
  all(): readonly S[];
  /** The streams of these pods, and those of clients without one. */
  of(pods: ReadonlySet<string>): readonly S[];
}

export function createStreamIndex<S>(): StreamIndex<S> {
  /** By stream; its pod when it is assigned. */
  const streams = new Map<S, string | undefined>();
  const byPod = new Map<string, Set<S>>();
  /** Of clients without a pod, and those of whom nothing is known yet. */
  const others = new Set<S>();

  return {
    get size() {
      return streams.size;
    },
    add(stream) {
      streams.set(stream, undefined);
      others.add(stream);
    },
    assign(stream, pod) {
      if (pod === undefined || !streams.has(stream)) return;
      const own = byPod.get(pod) ?? new Set<S>();
      byPod.set(pod, own.add(stream));
      streams.set(stream, pod);
      others.delete(stream);
    },
    delete(stream) {
      const pod = streams.get(stream);
      streams.delete(stream);
      others.delete(stream);
      if (pod === undefined) return;
      const own = byPod.get(pod);
      own?.delete(stream);
      if (own?.size === 0) byPod.delete(pod);
    },
    all: () => [...streams.keys()],
    of: (pods) => [...[...pods].flatMap((pod) => [...(byPod.get(pod) ?? [])]), ...others],
  };
}
