import type { Span, Tag } from './span.ts';
import { textOf } from './span.ts';

/**
 * Envoy's spans in the words of the Node sidecar's: what a tag of Envoy's can't be made to say is derived here, and the
 * older names that its tracer writes beside the semantic conventions are left out. Other spans pass as they are.
 */
export function unifyEnvoySpan(span: Span): Span {
  if (span.scope.name !== 'envoy') return span;
  const tags = new Map(span.attributes.map((tag) => [tag.key, tag]));
  if (!tags.has('tulle.direction')) return span;
  const text = (key: string): string => textOf(span.attributes, key) ?? '';
  const set = (key: string, value: string | number): void => {
    tags.set(key, { key, type: typeof value === 'number' ? 'int64' : 'string', value });
  };
  setRequest(text, set);
  const status = Number(text('http.status_code'));
  if (Number.isInteger(status) && status > 0) set('http.response.status_code', status);
  if (!tags.has('tulle.verdict')) set('tulle.verdict', 'allowed');
  const failure = toFailure(text('tulle.verdict'), text('tulle.reason'), status);
  if (failure !== undefined) set('error.type', failure);
  const attributes = [...tags.values()].filter(({ key, value }) => !older.has(key) && value !== '' && value !== '-');
  return failure === undefined ? { ...span, attributes } : { ...span, attributes, status: 'error' };
}

type Text = (key: string) => string;
type SetTag = (key: string, value: string | number) => void;

function setRequest(text: Text, set: SetTag): void {
  const [, account] = /^spiffe:\/\/[^/]+\/ns\/(.+)$/.exec(text('tulle.source')) ?? [];
  if (account !== undefined) set('tulle.source', account.replace('/sa/', '/'));
  const [, namespace, name, port] = /^([^/]+)\/(.+):(\d+)$/.exec(text('tulle.service')) ?? [];
  if (port !== undefined) {
    set('server.address', `${name}.${namespace}`);
    set('server.port', Number(port));
  }
  set('http.request.method', text('http.method'));
  set('network.protocol.version', text('http.protocol').replace('HTTP/', ''));
  set('user_agent.original', text('user_agent'));
  const [, path = '', query = ''] = /^[^:]*:\/\/[^/]*([^?]*)\??(.*)$/s.exec(text('http.url')) ?? [];
  set('url.path', path);
  set('url.query', query);
  const [, service, method] = /^\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  if (text('rpc.system') === 'grpc' && service !== undefined && method !== undefined) {
    set('rpc.service', service);
    set('rpc.method', method);
  }
  const grpc = text('rpc.grpc.status_code');
  if (/^\d+$/.test(grpc)) set('rpc.grpc.status_code', Number(grpc));
}

function toFailure(verdict: string, reason: string, status: number): string | undefined {
  if (verdict === 'denied') return reason === '' ? 'denied' : reason;
  return status >= 500 ? String(status) : undefined;
}

/** Names of Envoy's own. */
const older: ReadonlySet<Tag['key']> = new Set([
  'component',
  'downstream_cluster',
  'http.method',
  'http.protocol',
  'http.status_code',
  'http.url',
  'node_id',
  'peer.address',
  'request_size',
  'response_size',
  'upstream_cluster',
  'upstream_cluster.name',
  'upstream_address',
  'user_agent',
  'zone',
]);
