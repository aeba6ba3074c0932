import type { Call, Verdict } from './call.ts';
import type { LatencyHistogram } from './latency.ts';
import { countLatency, createLatencyHistogram, latencyQuantile } from './latency.ts';

/** Calls of one kind in a window of time: a row of `GET /api/flows`. Empty text: not known, or does not apply. */
export interface Flow {
  readonly source: string;
  readonly service: string;
  readonly destination: string;
  readonly split: string;
  /** What the split chose; without one it says nothing that `service` doesn't. */
  readonly backend: string;
  readonly protocol: Call['protocol'];
  readonly verdict: Verdict;
  readonly reason: string;
  readonly rule: string;
  readonly requests: number;
  /** All of `requests`, or none: the verdict is part of what makes a row. */
  readonly denied: number;
  readonly errors: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly lastSeen: number;
  /** The newest call, to look at or to explain. */
  readonly example: { readonly traceId: string; readonly method: string; readonly path: string };
}

export interface FlowTable {
  add(call: Call): void;
  /** Takes back a call that was added, because more is known of it now. */
  remove(call: Call): void;
  /** Flows with calls that ended at `since` or later; most requests first. */
  flows(since: number): Flow[];
}

/** Windows are exact to this. */
const slotMs = 5_000;
const keptSlots = 180;
const maxFlows = 4_000;
/** A clock that is ahead by more than this is wrong. */
const aheadMs = 60_000;

/** The server's part of a call, which names the rule, comes within this after the client's. */
const unjoinedMs = 4_000;

interface Slot {
  requests: number;
  errors: number;
  readonly latency: LatencyHistogram;
}

interface FlowEntry {
  latest: Call;
  readonly slots: Map<number, Slot>;
}

interface FoldedEntry {
  readonly latest: Call;
  readonly slots: readonly (readonly [number, Slot])[];
}

/** Counts of calls by kind over the last 15 minutes, in slots of 5 s. */
export function createFlowTable(now: () => number): FlowTable {
  const entries = new Map<string, FlowEntry>();
  let prunedAt = 0;

  function prune(): void {
    const oldest = Math.floor(now() / slotMs) - keptSlots;
    if (prunedAt === oldest && entries.size < maxFlows) return;
    prunedAt = oldest;
    for (const [key, { slots }] of entries) {
      for (const slot of slots.keys()) if (slot < oldest) slots.delete(slot);
      if (slots.size === 0) entries.delete(key);
    }
    // Sources or services without number: the flows that were first seen longest ago go.
    for (const key of entries.keys()) {
      if (entries.size < maxFlows) break;
      entries.delete(key);
    }
  }

  function count(slot: Slot, call: Call, amount: 1 | -1): void {
    slot.requests += amount;
    if (call.error) slot.errors += amount;
    countLatency(slot.latency, call.durationMs, amount);
  }

  return {
    add(given) {
      const call = toCounted(given);
      prune();
      if (call.time + call.durationMs > now() + aheadMs) return;
      const key = keyOf(call);
      let entry = entries.get(key);
      if (entry === undefined) entries.set(key, (entry = { latest: call, slots: new Map() }));
      if (call.time >= entry.latest.time) entry.latest = call;
      const index = slotOf(call);
      let slot = entry.slots.get(index);
      if (slot === undefined) {
        entry.slots.set(index, (slot = { requests: 0, errors: 0, latency: createLatencyHistogram() }));
      }
      count(slot, call, 1);
    },
    remove(given) {
      const call = toCounted(given);
      const key = keyOf(call);
      const entry = entries.get(key);
      const index = slotOf(call);
      const slot = entry?.slots.get(index);
      if (entry === undefined || slot === undefined) return;
      count(slot, call, -1);
      if (slot.requests <= 0) entry.slots.delete(index);
      if (entry.slots.size === 0) entries.delete(key);
    },
    flows(since) {
      prune();
      const first = Math.floor(since / slotMs);
      return foldUnjoined([...entries.values()], Math.floor((now() - unjoinedMs) / slotMs))
        .map((entry) => toFlow(entry, first))
        .filter((flow) => flow !== undefined)
        .sort((a, b) => b.requests - a.requests);
    },
  };
}

function toCounted(call: Call): Call {
  return call.split === '' && call.backend !== '' ? { ...call, backend: '' } : call;
}

function slotOf({ time, durationMs }: Call): number {
  return Math.floor((time + durationMs) / slotMs);
}

function keyOf(call: Call): string {
  const { source, service, destination, split, backend, protocol, verdict, reason, rule } = call;
  return [source, service, destination, split, backend, protocol, verdict, reason, rule].join('\n');
}

/**
 * Counts calls whose rule is not known yet with their like, so that no row comes and goes with each export of spans.
 * Those that stay without a rule (permissive mode, a sidecar that reports elsewhere) become a row of their own.
 */
function foldUnjoined(entries: readonly FlowEntry[], recent: number): FoldedEntry[] {
  const likeOf = ({ source, service, split, backend, protocol, verdict }: Call): string =>
    [source, service, split, backend, protocol, verdict].join('\n');
  const ruled = new Map(
    entries.filter(({ latest }) => latest.rule !== '').map((entry) => [likeOf(entry.latest), entry]),
  );
  const guests = new Map<FlowEntry, [number, Slot][]>();
  const rows = entries.filter(({ latest, slots }) => {
    const host = latest.rule === '' && latest.reason === '' ? ruled.get(likeOf(latest)) : undefined;
    if (host === undefined || [...slots.keys()].some((index) => index < recent)) return true;
    guests.set(host, [...(guests.get(host) ?? []), ...slots]);
    return false;
  });
  return rows.map((entry) => ({ latest: entry.latest, slots: [...entry.slots, ...(guests.get(entry) ?? [])] }));
}

function toFlow({ latest, slots }: FoldedEntry, first: number): Flow | undefined {
  const inWindow = slots.filter(([index]) => index >= first).map(([, slot]) => slot);
  if (inWindow.length === 0) return undefined;
  const histograms = inWindow.map(({ latency }) => latency);
  const requests = inWindow.reduce((sum, slot) => sum + slot.requests, 0);
  const { source, service, destination, split, backend, protocol, verdict, reason, rule } = latest;
  return {
    source,
    service,
    destination,
    split,
    backend,
    protocol,
    verdict,
    reason,
    rule,
    requests,
    denied: verdict === 'denied' ? requests : 0,
    errors: inWindow.reduce((sum, slot) => sum + slot.errors, 0),
    p50: latencyQuantile(histograms, 0.5) ?? 0,
    p99: latencyQuantile(histograms, 0.99) ?? 0,
    lastSeen: latest.time,
    example: { traceId: latest.traceId, method: latest.method, path: latest.path },
  };
}
