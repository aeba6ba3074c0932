import type { NetConnectOpts } from 'node:net';
import type { DirectoryEntry } from '../../pkg/policy/proxy-policy.ts';
import type { CallOutcome } from '../conformance/decide-call.ts';
import type { LoadedClient, LoadedMesh } from '../conformance/envoy-mesh.ts';
import {
  findTarget,
  type Heard,
  isDenyReason,
  type Kind,
  readTcpLines,
  sendHttp1,
  sendHttp2,
  type Talk,
  talk,
  type TcpLine,
  toTcpKind,
} from '../conformance/envoy-requests.ts';
import { tellingHeaders } from '../conformance/envoy-telling.ts';
import type { RunningEnvoy } from '../support/envoy.ts';
import { until } from '../support/envoy.ts';
import { type DecidedCall, holdCounts } from './sidecar-calls.ts';

/** One answer, with all that both sidecars know of it. */
export interface Told {
  readonly kind: Kind;
  readonly backend?: string;
  readonly reasons: CallOutcome['reasons'];
  readonly shadow: readonly string[];
}

export interface Asked {
  readonly requests: number;
  readonly failures: readonly { readonly decided: DecidedCall; readonly error: unknown }[];
}

/** Both versions of HTTP. */
const bothVersions = 2;
const atOnce = 24;

/**
 * Makes all calls of a trial, each as often as it takes to see that it ends as decided. Those that chance has a part in are
 * made one after the other for each client: Envoy gives more to an endpoint that answers faster, else.
 */
export async function askEnvoys(loaded: LoadedMesh, calls: readonly DecidedCall[], shared: number): Promise<Asked> {
  const failures: { decided: DecidedCall; error: unknown }[] = [];
  let requests = 0;
  const one = async (decided: DecidedCall, times: number): Promise<void> => {
    requests += times;
    try {
      const told: Told[] = [];
      for (let k = 0; k < times; k++) told.push(await inTime(askOnce(loaded, decided, k)));
      const { escaped } = decided;
      if (escaped === undefined) return holdCounts(told, decided);
      holdCounts(
        told.filter((_, k) => !isHttp2(decided, k)),
        decided,
      );
      holdCounts(
        told.filter((_, k) => isHttp2(decided, k)),
        { ...decided, outcome: escaped },
      );
    } catch (error) {
      failures.push({ decided, error });
    }
  };
  await inParallel(
    calls.filter((decided) => !decided.shared),
    (decided) => one(decided, decided.call.protocol === 'http' ? bothVersions : 1),
  );
  const byClient = new Map<string, DecidedCall[]>();
  for (const decided of calls.filter((call) => call.shared)) {
    const { from = '' } = decided.call;
    byClient.set(from, [...(byClient.get(from) ?? []), decided]);
  }
  await inParallel([...byClient.values()], async (own) => {
    for (const decided of own) await one(decided, shared);
  });
  return { requests, failures };
}

const patience = 30_000;

/** An answer that does not come is a disagreement as well. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${patience} ms`)), patience);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function inParallel<T>(list: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const rest = list.values();
  const work = async (): Promise<void> => {
    for (const item of rest) await run(item);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

function isHttp2({ call }: DecidedCall, k: number): boolean {
  return call.protocol === 'grpc' || k % 2 === 1;
}

async function askOnce(loaded: LoadedMesh, decided: DecidedCall, k: number): Promise<Told> {
  const { call } = decided;
  const target = findTarget(loaded, call, k);
  if (target === undefined) return { kind: 'unavailable', reasons: [], shadow: [] };
  const { to, entry, client } = target;
  if (call.protocol === 'tcp') {
    const known = client && linesOf(client.envoy).seen;
    const { text, localPort } = await talkFrom(to, entry);
    if (text.startsWith('HTTP/1.1 400')) return { kind: 'malformed', reasons: [], shadow: [] };
    // A peer without a sidecar has no log; what it is refused is only closed.
    if (client === undefined) return { kind: text === '' ? 'denied' : 'served', reasons: [], shadow: [] };
    const line = await logged(client, localPort, known ?? 0);
    const kind = toTcpKind(line, text);
    const { backend, reason } = line;
    return {
      kind,
      ...(backend === undefined ? {} : { backend }),
      reasons: isDenyReason(reason) ? [reason] : [],
      shadow: [],
    };
  }
  return toTold(await (isHttp2(decided, k) ? sendHttp2(to, call) : sendHttp1(to, call)));
}

/** A connection that was reset before it could be asked for its port has no line that is known to be its own: made again. */
async function talkFrom(to: NetConnectOpts, entry: DirectoryEntry | undefined): Promise<Talk> {
  for (let left = 10; ; left--) {
    const said = await talk(to, entry);
    if ('path' in to || said.localPort !== undefined || left === 0) return said;
  }
}

function toTold({ kind, headers }: Heard): Told {
  const { [tellingHeaders.backend]: backend, [tellingHeaders.shadow]: shadow } = headers;
  const reasons = [headers['x-tulle-reason'], headers[tellingHeaders.reason]].filter(isDenyReason);
  return {
    kind,
    ...(isTold(backend) ? { backend } : {}),
    reasons: [...new Set(reasons)],
    shadow: isTold(shadow) ? [shadow.split('/')[1] ?? ''] : [],
  };
}

/** Envoy writes a dash for what there is not. */
function isTold(value: string | undefined): value is string {
  return value !== undefined && value !== '' && value !== '-';
}

interface Log {
  rest: string;
  /** Lines read so far. */
  seen: number;
  readonly ended: Map<string, { readonly line: TcpLine; readonly number: number }>;
}

const logs = new WeakMap<RunningEnvoy, Log>();

function linesOf(envoy: RunningEnvoy): Log {
  return logs.get(envoy) ?? follow(envoy);
}

/** The line of the log about the connection from a port, after so many lines: others had the port before. */
async function logged({ envoy }: LoadedClient, localPort: number | undefined, after: number): Promise<TcpLine> {
  const { ended } = linesOf(envoy);
  const peer = `127.0.0.1:${localPort}`;
  const own = (): TcpLine | undefined => {
    const found = ended.get(peer);
    return found && found.number > after ? found.line : undefined;
  };
  await until(
    () => own() !== undefined,
    () => `no line about ${peer}`,
  );
  return own() as TcpLine;
}

function follow(envoy: RunningEnvoy): Log {
  const log: Log = { rest: '', seen: 0, ended: new Map() };
  const take = (text: string): void => {
    const whole = log.rest + text;
    const end = whole.lastIndexOf('\n') + 1;
    log.rest = whole.slice(end);
    for (const line of readTcpLines(whole.slice(0, end))) {
      log.seen += 1;
      if (line.event !== 'TcpConnectionEnd' || line.direction !== 'outbound') continue;
      log.ended.set(line.told_peer ?? '', { line, number: log.seen });
    }
  };
  logs.set(envoy, log);
  take(envoy.output());
  envoy.process.stdout?.on('data', (chunk: Buffer) => take(chunk.toString()));
  return log;
}
