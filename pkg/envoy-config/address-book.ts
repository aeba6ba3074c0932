import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import { ads } from './config-source.ts';
import type {
  ExtensionConfig,
  FilterChainMatcher,
  ListenerFilter,
  ListenerFilterState,
} from './envoy-listener-types.ts';
import { changeOf } from './memo.ts';
import { addressPiece } from './names.ts';
import { isHttp } from './protocol.ts';
import { addressesOf } from './scoped-route.ts';

/**
 * What is spoken at each address of the mesh, the same for every proxy, whoever may reach what (docs/adr/0006). It stands
 * in ten pieces, by the last digit of the address: a Service that comes or goes changes one of them, and no listener.
 * A piece writes down `http` or `tcp` for a connection to one of its addresses, and the chain is chosen by that.
 */
export function toAddressBook(directory: readonly DirectoryEntry[]): readonly ExtensionConfig[] {
  const before = latest;
  const change = changeOf(before.directory, directory);
  const gone = new Set(change.gone.flatMap(placesOf));
  const fresh = change.fresh.flatMap(placesOf);
  const pieces = digits.map((digit, i): Piece => {
    const known = before.pieces[i];
    const left = known?.places.filter((place) => !gone.has(place)) ?? [];
    const added = fresh.filter((place) => place.digit === digit);
    if (known && added.length === 0 && left.length === known.places.length) return known;
    return toPiece(digit, [...left, ...added], known);
  });
  latest = { directory, pieces, book: pieces.map(({ config }) => config) };
  return latest.book;
}

/** An address at which some Service is dialled. */
interface Place {
  readonly dialled: string;
  readonly digit: string;
  readonly isHttp: boolean;
}

interface Piece {
  /** In any order. */
  readonly places: readonly Place[];
  readonly expression: string;
  readonly config: ExtensionConfig;
}

interface Book {
  readonly directory: readonly DirectoryEntry[];
  /** By digit. */
  readonly pieces: readonly Piece[];
  readonly book: readonly ExtensionConfig[];
}

/** What was asked for last: of what comes next, one Service is usually all that differs. */
let latest: Book = { directory: [], pieces: [], book: [] };

const places = new WeakMap<DirectoryEntry, readonly Place[]>();

/** The same objects for the same entry: by them it is found again when it goes. */
function placesOf(entry: DirectoryEntry): readonly Place[] {
  const found =
    places.get(entry) ??
    addressesOf(entry).map((dialled) => ({ dialled, digit: digitOf(dialled), isHttp: isHttp(entry.protocol) }));
  places.set(entry, found);
  return found;
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

/** A piece that says the same as before is the same object, and is not encoded again. */
function toPiece(digit: string, places: readonly Place[], before: Piece | undefined): Piece {
  const http = new Set(places.flatMap((place) => (place.isHttp ? place.dialled : [])));
  // Where two Services disagree, HTTP has the address.
  const tcp = new Set(places.flatMap(({ dialled }) => (http.has(dialled) ? [] : dialled)));
  const expression = toExpression(digit, [...http].sort(), [...tcp].sort());
  return {
    places,
    expression,
    config: before?.expression === expression ? before.config : toConfig(digit, expression),
  };
}

function toConfig(digit: string, expression: string): ExtensionConfig {
  return {
    '@type': 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
    name: addressPiece(digit),
    typed_config: toFilter(expression),
  };
}

/** Writes down the chain that the expression says, if it says one. */
function toFilter(expression: string): ListenerFilterState {
  return {
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
/** For what dialled the listener itself, on loopback: no rule leads that here, and led on it would come here again. */
export const ownChain = 'own';

/** Every piece is asked of every connection; what none of them knows is not of the mesh. */
export function toAddressFilters(listenerPort: number): readonly ListenerFilter[] {
  const itself = `destination.address.startsWith('127.') && destination.address.endsWith(':${listenerPort}')`;
  const pieces = digits.map((digit): ListenerFilter => ({
    name: addressPiece(digit),
    config_discovery: { config_source: ads, type_urls: [filterType] },
  }));
  return [...pieces, { name: 'own', typed_config: toFilter(`${itself} ? '${ownChain}' : ''`) }];
}

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
    exact_match_map: { map: Object.fromEntries([httpChain, tcpChain, ownChain].map((name) => [name, toChain(name)])) },
  },
};
