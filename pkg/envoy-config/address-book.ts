import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import { ads } from './config-source.ts';
import type {
  ExtensionConfig,
  FilterChainMatcher,
  ListenerFilter,
  ListenerFilterState,
} from './envoy-listener-types.ts';
import { addressPiece } from './names.ts';
import { isHttp } from './protocol.ts';
import { addressesOf } from './scoped-route.ts';

/**
 * What is spoken at each address of the mesh, the same for every proxy, whoever may reach what (docs/adr/0006). It stands
 * in ten pieces, by the last digit of the address: a Service that comes or goes changes one of them, and no listener.
 * A piece writes down `http` or `tcp` for a connection to one of its addresses, and the chain is chosen by that.
 */
export function toAddressBook(directory: Iterable<DirectoryEntry>): readonly ExtensionConfig[] {
  const http = new Set<string>();
  const tcp = new Set<string>();
  for (const entry of directory) {
    for (const address of addressesOf(entry)) (isHttp(entry.protocol) ? http : tcp).add(address);
  }
  // Where two Services disagree, HTTP has the address.
  for (const address of http) tcp.delete(address);
  const [byDigit, tcpByDigit] = [toPieces(http), toPieces(tcp)];
  return digits.map((digit) => toPiece(digit, byDigit.get(digit) ?? [], tcpByDigit.get(digit) ?? []));
}

function toPieces(addresses: Iterable<string>): Map<string, string[]> {
  const pieces = new Map<string, string[]>();
  for (const address of addresses) {
    const digit = digitOf(address);
    const piece = pieces.get(digit);
    if (piece) piece.push(address);
    else pieces.set(digit, [address]);
  }
  for (const piece of pieces.values()) piece.sort();
  return pieces;
}

const digits: readonly string[] = [...'0123456789'];

/** The digits of IPv6 beyond nine go with those below. */
const letters: Readonly<Record<string, string>> = { a: '0', b: '1', c: '2', d: '3', e: '4', f: '5', ':': '6' };

/** `7` of `10.96.0.17:80`, and of `[fd00::7]:80`. */
function digitOf(dialled: string): string {
  const last = /(.)\]?:\d+$/.exec(dialled)?.[1] ?? '0';
  return letters[last] ?? last;
}

const filterType = 'type.googleapis.com/envoy.extensions.filters.listener.set_filter_state.v3.Config' as const;
const chainKey = 'tulle.chain';

/** The last of each: nine of ten stay the same when a Service comes, and are not encoded again. */
const known = new Map<string, { readonly expression: string; readonly piece: ExtensionConfig }>();

function toPiece(digit: string, http: readonly string[], tcp: readonly string[]): ExtensionConfig {
  const name = addressPiece(digit);
  const expression = toExpression(digit, http, tcp);
  const last = known.get(name);
  if (last?.expression === expression) return last.piece;
  const typed_config: ListenerFilterState = {
    '@type': filterType,
    on_accept: [
      {
        object_key: chainKey,
        factory_key: 'envoy.string',
        skip_if_empty: true,
        format_string: { text_format_source: { inline_string: `%CEL(${expression})%` } },
      },
    ],
  };
  const piece: ExtensionConfig = {
    '@type': 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
    name,
    typed_config,
  };
  known.set(name, { expression, piece });
  return piece;
}

/** The last digit is asked for first: most connections are the matter of another piece. */
function toExpression(digit: string, http: readonly string[], tcp: readonly string[]): string {
  const letter = Object.keys(letters).find((each) => letters[each] === digit);
  const isIn = (addresses: readonly string[]): string =>
    `destination.address in [${addresses.map((address) => `'${address}'`).join(',')}]`;
  const spoken = [
    ...(http.length > 0 ? [`${isIn(http)} ? '${httpChain}' : `] : []),
    ...(tcp.length > 0 ? [`${isIn(tcp)} ? '${tcpChain}' : `] : []),
  ];
  if (spoken.length === 0) return `''`;
  const ends = [
    `${digit}:`,
    ...([...http, ...tcp].some((each) => each.startsWith('['))
      ? [`${digit}]:`, ...(letter ? [`${letter}]:`] : [])]
      : []),
  ];
  const concerns = ends.map((end) => `destination.address.contains('${end}')`).join(' || ');
  return `(${concerns}) ? (${spoken.join('')}'') : ''`;
}

/** Names of the chains of the outbound listener. */
export const httpChain = 'http';
export const tcpChain = 'tcp';

/** Every piece is asked of every connection; what none of them knows is not of the mesh. */
export const addressFilters: readonly ListenerFilter[] = digits.map((digit) => ({
  name: addressPiece(digit),
  config_discovery: { config_source: ads, type_urls: [filterType] },
}));

function toChain(name: string): FilterChainMatcher['matcher_tree']['exact_match_map']['map'][string] {
  return {
    action: { name, typed_config: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: name } },
  };
}

export const chainMatcher: FilterChainMatcher = {
  matcher_tree: {
    input: {
      name: 'spoken',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput',
        key: chainKey,
      },
    },
    exact_match_map: { map: { [httpChain]: toChain(httpChain), [tcpChain]: toChain(tcpChain) } },
  },
};
