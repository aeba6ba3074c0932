import { isJsonObject, type JsonObject } from '../../smi/reader.ts';
import { ClusterError } from './cluster-error.ts';

export type WatchEvent =
  | { readonly type: 'CHANGED'; readonly key: string; readonly object: JsonObject; readonly version?: string }
  | { readonly type: 'DELETED'; readonly key: string; readonly version?: string }
  | { readonly type: 'BOOKMARK'; readonly version?: string }
  | { readonly type: 'ERROR'; readonly error: ClusterError };

/** Decodes one line of a watch. What is none throws: nothing that follows can be trusted then. */
export function decodeWatchEvent(line: string): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new ClusterError(0, 'Malformed', 'a line of the watch is no JSON', { cause });
  }
  const object = isJsonObject(event) ? event['object'] : undefined;
  const type = isJsonObject(event) ? event['type'] : undefined;
  if (!isJsonObject(object)) throw new ClusterError(0, 'Malformed', 'a line of the watch has no object');
  if (type === 'ERROR') return { type, error: toError(object) };

  const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {};
  const { name, namespace = '', resourceVersion } = metadata;
  const version = typeof resourceVersion === 'string' && resourceVersion !== '' ? { version: resourceVersion } : {};
  if (type === 'BOOKMARK') return { type, ...version };
  if (typeof name !== 'string' || typeof namespace !== 'string') {
    throw new ClusterError(0, 'Malformed', 'an object of the watch has no name');
  }
  const key = `${namespace}/${name}`;
  if (type === 'DELETED') return { type, key, ...version };
  if (type === 'ADDED' || type === 'MODIFIED') return { type: 'CHANGED', key, object, ...version };
  throw new ClusterError(0, 'Malformed', `the watch has no events of type "${String(type).slice(0, 40)}"`);
}

/** The object of an ERROR event is a Status; 410 or Expired: what happened since is no longer known. */
function toError({ code, reason, message }: JsonObject): ClusterError {
  const isExpired = code === 410 || reason === 'Expired' || reason === 'Gone';
  const status = isExpired ? 410 : typeof code === 'number' ? code : 500;
  const text = typeof message === 'string' ? message.slice(0, 500) : 'the watch ended with an error';
  return new ClusterError(status, isExpired ? 'Expired' : typeof reason === 'string' ? reason : 'InternalError', text);
}
