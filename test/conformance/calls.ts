import assert from 'node:assert/strict';
import type { DenyReason } from '../../pkg/policy/decide.ts';

/** What must happen to one kind of call, whoever enforces it: an entry of `calls.yaml`. */
export interface Call {
  /** `namespace/serviceaccount`; absent: a peer without certificate. */
  readonly from?: string;
  /** `name:port`, the name in any spelling that holds in the caller's namespace. */
  readonly to: string;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  readonly method: string;
  /** As sent: not normalised. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Host as sent; absent: `to`. */
  readonly authority?: string;
  readonly expect: Expectation;
}

export interface Expectation {
  /** True: at least a part is served (all of it, unless `denied` or `unavailable` say otherwise). False: nothing is. */
  readonly allow: boolean;
  /** With `allow: false` and for the denied part: why. In permissive and shadow mode: why it would be denied. */
  readonly reason?: DenyReason | 'Unavailable';
  /** HTTP status of what isn't served; follows from `reason` when absent. */
  readonly status?: number;
  /** Share of all calls that each backend serves. */
  readonly shares?: Readonly<Record<string, number>>;
  /** Share of all calls that is refused by policy. */
  readonly denied?: number;
  /** Share of all calls that finds nobody (503). */
  readonly unavailable?: number;
  /** Share of all calls that is refused before policy (400). */
  readonly malformed?: number;
  /** Names of TrafficTargets in shadow that report they would have let it pass. */
  readonly shadow?: readonly string[];
}

const callFields = ['from', 'plaintext', 'to', 'protocol', 'method', 'path', 'headers', 'authority', 'expect'];
const expectFields = ['allow', 'reason', 'status', 'shares', 'denied', 'unavailable', 'malformed', 'shadow'];

/** Checks and completes what `calls.yaml` says. Throws for a mistake in it: it is ours. */
export function decodeCalls(value: unknown, scenario: string): readonly Call[] {
  assert.ok(value === undefined || Array.isArray(value), `${scenario}: calls.yaml is not a list`);
  return (value ?? []).map((raw: Record<string, unknown>, i: number) => {
    const at = `${scenario}: call ${i}`;
    const expect = raw['expect'] as Record<string, unknown> | undefined;
    assert.equal(typeof expect?.['allow'], 'boolean', `${at} expects nothing`);
    assert.deepEqual(
      Object.keys(raw).filter((key) => !callFields.includes(key)),
      [],
      at,
    );
    assert.deepEqual(
      Object.keys(expect ?? {}).filter((key) => !expectFields.includes(key)),
      [],
      at,
    );
    assert.ok(raw['plaintext'] === true ? raw['from'] === undefined : typeof raw['from'] === 'string', at);
    assert.match(String(raw['to']), /^[^:]+:\d+$/, at);
    return {
      ...(raw['from'] !== undefined && { from: raw['from'] as string }),
      to: raw['to'] as string,
      protocol: (raw['protocol'] ?? 'http') as Call['protocol'],
      method: (raw['method'] ?? (raw['protocol'] === 'grpc' ? 'POST' : 'GET')) as string,
      path: (raw['path'] ?? '/') as string,
      headers: headersOf(raw['headers']),
      ...(raw['authority'] !== undefined && { authority: raw['authority'] as string }),
      expect: expect as unknown as Expectation,
    };
  });
}

/** `{name: value}`, and `{name: [value, value]}` for a header that is sent in several lines. */
function headersOf(value: unknown): Call['headers'] {
  return Object.entries((value ?? {}) as Record<string, string | number | readonly string[]>).flatMap(([name, lines]) =>
    (Array.isArray(lines) ? (lines as readonly string[]) : [lines]).map((line) => [name, String(line)] as const),
  );
}

/** A call in one line: the title of its test, and how skips.yaml names it. */
export function titleOf({ from, to, protocol, method, path, headers, authority }: Call): string {
  const lines = headers.map(([name, value]) => ` ${name}: ${value}`).join(',');
  const host = authority === undefined ? '' : ` host: ${authority}`;
  const request = protocol === 'tcp' ? 'TCP' : `${protocol === 'grpc' ? 'gRPC ' : ''}${method} ${path}${host}${lines}`;
  return `${from ?? 'plaintext'} -> ${to} ${request}`;
}

/** As `node:http2` takes them: the lines of one name together. */
export function toHttp2Headers(headers: Call['headers']): Readonly<Record<string, string | string[]>> {
  const byName: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const known = byName[name.toLowerCase()];
    byName[name.toLowerCase()] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  return byName;
}
