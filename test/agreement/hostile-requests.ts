/**
 * What a hostile request comes to. `denied`: 403. `refused`: any other error, or a closed connection, before policy is asked. In
 * neither case does the app hear of it.
 */
export type End = 'served' | 'denied' | 'refused';

export interface Hostile {
  readonly title: string;
  readonly ends: End;
  /**
   * Where one of the two is laxer or stricter, and policy is asked of just what the app gets, so that nobody comes further:
   * what it does instead.
   */
  readonly but?: {
    readonly through: 'Node' | 'Envoy';
    readonly ends: End;
    readonly heard?: readonly string[];
    readonly why: string;
  };
  /** What the app gets, as `METHOD target authority`, in order; absent: `GET /books cart.shop`, once, where it is served. */
  readonly heard?: readonly string[];
  /** What is wrong comes behind the head: the app may have heard of the request already, and of none besides. */
  readonly late?: true;
}

/** Bytes on a connection of HTTP/1.1. */
export interface HostileBytes extends Hostile {
  readonly bytes: string;
}

/** Fields of HTTP/2 as they stand, in this order; no library would send them. */
export interface HostileFields extends Hostile {
  readonly fields: readonly (readonly [name: string, value: string])[];
}

const end = 'connection: close\r\n\r\n';
const get = 'GET /books HTTP/1.1\r\nhost: cart.shop\r\n';
const post = 'POST /write HTTP/1.1\r\nhost: cart.shop\r\n';
/** What is to come out of a smuggler's body: a request that is denied to whoever asks for it openly. */
const hidden = 'GET /secret HTTP/1.1\r\nhost: cart.shop\r\n\r\n';

function target(ends: End, text: string, heard?: string): HostileBytes {
  const bytes = `GET ${text} HTTP/1.1\r\nhost: cart.shop\r\n${end}`;
  return { title: `the target ${text}`, ends, bytes, ...(heard === undefined ? {} : { heard: [heard] }) };
}

const targets: readonly HostileBytes[] = [
  target('served', '/%62ooks'),
  target('served', '//books'),
  target('served', '/x/../books'),
  target('served', '/x/%2e%2E/books'),
  target('served', '/./books'),
  target('served', '/x\\..\\books'),
  target('served', '/books?a=/../secret', 'GET /books?a=/../secret cart.shop'),
  target('denied', '/books/../secret'),
  target('denied', '/books/%2e%2e/secret'),
  target('denied', '/books;x=/../secret'),
  target('denied', '/BOOKS'),
  target('denied', '/books%3f'),
  target('denied', '/%2562ooks'),
  target('denied', '/books/'),
  target('denied', '/books%20'),
  target('refused', '/books%2f'),
  target('refused', '/%2fbooks'),
  target('refused', '/..%5cbooks'),
  target('refused', '/books%00'),
  target('refused', '/books#x'),
  target('refused', '/b\u00e9'),
  target('refused', 'books'),
  target('refused', '/caf\u00e9'),
  target('served', '/caf%C3%A9', 'GET /caf%C3%A9 cart.shop'),
  target('refused', '*'),
  {
    title: 'OPTIONS *',
    ends: 'refused',
    bytes: `OPTIONS * HTTP/1.1\r\nhost: cart.shop\r\n${end}`,
  },
  target('refused', 'cart.shop:80'),
];

const lines: readonly HostileBytes[] = [
  {
    title: 'absolute form, the same host',
    ends: 'served',
    bytes: `GET http://cart.shop/books HTTP/1.1\r\nhost: cart.shop\r\n${end}`,
  },
  {
    title: 'absolute form that overrules host',
    ends: 'denied',
    bytes: `GET http://evil.example/host HTTP/1.1\r\nhost: cart.shop\r\n${end}`,
  },
  {
    title: 'absolute form of the host that is asked for',
    ends: 'served',
    heard: ['GET /host cart.shop'],
    bytes: `GET http://cart.shop/host HTTP/1.1\r\nhost: evil.example\r\n${end}`,
  },
  {
    title: 'absolute form with a denied path',
    ends: 'denied',
    bytes: `GET http://cart.shop/secret HTTP/1.1\r\nhost: cart.shop\r\n${end}`,
  },
  {
    title: 'absolute form with dot segments',
    ends: 'denied',
    bytes: `GET http://cart.shop/books/../secret HTTP/1.1\r\nhost: cart.shop\r\n${end}`,
  },
  { title: 'an unknown host', ends: 'denied', bytes: `GET /host HTTP/1.1\r\nhost: evil.example\r\n${end}` },
  {
    title: 'two hosts',
    ends: 'refused',
    but: {
      through: 'Envoy',
      ends: 'served',
      heard: ['GET /books cart.shop,evil.example'],
      why: 'its parser joins lines of one name, and policy matches what is joined',
    },
    bytes: `${get}host: evil.example\r\n${end}`,
  },
  {
    title: 'two equal hosts',
    ends: 'refused',
    but: {
      through: 'Envoy',
      ends: 'served',
      heard: ['GET /books cart.shop,cart.shop'],
      why: 'its parser joins lines of one name, and policy matches what is joined',
    },
    bytes: `${get}host: cart.shop\r\n${end}`,
  },
  { title: 'no host', ends: 'refused', bytes: `GET /books HTTP/1.1\r\n${end}` },
  {
    title: 'a host with user information',
    ends: 'refused',
    but: {
      through: 'Envoy',
      ends: 'served',
      heard: ['GET /books a@cart.shop'],
      why: 'it takes an authority as it stands',
    },
    bytes: `GET /books HTTP/1.1\r\nhost: a@cart.shop\r\n${end}`,
  },
  { title: 'a host with a path', ends: 'refused', bytes: `GET /books HTTP/1.1\r\nhost: cart.shop/x\r\n${end}` },
  { title: 'a host with a space', ends: 'refused', bytes: `GET /books HTTP/1.1\r\nhost: cart.shop evil\r\n${end}` },
  { title: 'a method that nobody knows', ends: 'refused', bytes: `BREW /books HTTP/1.1\r\nhost: cart.shop\r\n${end}` },
  { title: 'a method in lower case', ends: 'refused', bytes: `get /books HTTP/1.1\r\nhost: cart.shop\r\n${end}` },
  { title: 'CONNECT', ends: 'refused', bytes: `CONNECT cart.shop:80 HTTP/1.1\r\nhost: cart.shop:80\r\n${end}` },
  {
    title: 'version 2.0 in words',
    ends: 'refused',
    but: { through: 'Envoy', ends: 'served', why: 'it reads any version as its own' },
    bytes: `GET /books HTTP/2.0\r\nhost: cart.shop\r\n${end}`,
  },
  { title: 'version 0.9', ends: 'refused', bytes: 'GET /books\r\n\r\n' },
  {
    title: 'two spaces in the request line',
    ends: 'refused',
    but: { through: 'Envoy', ends: 'served', why: 'it takes spaces for one' },
    bytes: `GET  /books HTTP/1.1\r\nhost: cart.shop\r\n${end}`,
  },
  { title: 'a second target', ends: 'refused', bytes: `GET /books /secret HTTP/1.1\r\nhost: cart.shop\r\n${end}` },
];

const headers: readonly HostileBytes[] = [
  {
    title: 'one of two lines that matches',
    ends: 'served',
    heard: ['GET /user cart.shop'],
    bytes: `GET /user HTTP/1.1\r\nhost: cart.shop\r\nx-user: 2\r\nx-user: 1\r\n${end}`,
  },
  {
    title: 'one line with both values',
    ends: 'denied',
    bytes: `GET /user HTTP/1.1\r\nhost: cart.shop\r\nx-user: 1, 2\r\n${end}`,
  },
  {
    title: 'a header named in connection',
    ends: 'denied',
    bytes: `GET /user HTTP/1.1\r\nhost: cart.shop\r\nx-user: 1\r\nconnection: close, x-user\r\n\r\n`,
  },
  {
    title: 'a space before the colon',
    ends: 'refused',
    bytes: `GET /user HTTP/1.1\r\nhost: cart.shop\r\nx-user : 1\r\n${end}`,
  },
  {
    title: 'a folded line',
    ends: 'refused',
    but: { through: 'Envoy', ends: 'denied', why: 'it unfolds the line: there is no x-user in it' },
    bytes: `GET /user HTTP/1.1\r\nhost: cart.shop\r\nx-a: b\r\n x-user: 1\r\n${end}`,
  },
  { title: 'a line without a colon', ends: 'refused', bytes: `${get}nonsense\r\n${end}` },
  { title: 'a NUL in a value', ends: 'refused', bytes: `${get}x-user: 1\0\r\n${end}` },
  {
    title: 'a bare CR in a value',
    ends: 'refused',
    but: { through: 'Envoy', ends: 'served', why: 'it keeps the line whole, and no x-user comes of it' },
    bytes: `${get}x-a: b\rx-user: 1\r\n${end}`,
  },
  {
    title: 'reserved headers of the app',
    ends: 'served',
    bytes: `${get}x-tulle-reason: no\r\nx-envoy-original-path: /secret\r\nx-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/admin\r\n${end}`,
  },
];

const smuggled: readonly HostileBytes[] = [
  {
    title: 'length and chunks',
    ends: 'refused',
    bytes: `${post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
  },
  {
    title: 'chunks and length',
    ends: 'refused',
    bytes: `${post}transfer-encoding: chunked\r\ncontent-length: ${hidden.length}\r\n\r\n0\r\n\r\n${hidden}`,
  },
  {
    title: 'two lengths',
    ends: 'refused',
    bytes: `${post}content-length: 0\r\ncontent-length: ${hidden.length}\r\n\r\n${hidden}`,
  },
  { title: 'a list of lengths', ends: 'refused', bytes: `${post}content-length: 0, ${hidden.length}\r\n\r\n${hidden}` },
  {
    title: 'a length with a sign',
    ends: 'refused',
    bytes: `${post}content-length: +${hidden.length}\r\n\r\n${hidden}`,
  },
  { title: 'a length in hexadecimal', ends: 'refused', bytes: `${post}content-length: 0x10\r\n\r\n${hidden}` },
  {
    title: 'a coding of the same look',
    ends: 'refused',
    bytes: `${post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`,
  },
  {
    title: 'chunked twice',
    ends: 'refused',
    bytes: `${post}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
  },
  {
    title: 'identity behind chunked',
    ends: 'refused',
    bytes: `${post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`,
  },
  {
    title: 'a vertical tab before chunked',
    ends: 'refused',
    bytes: `${post}transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n${hidden}`,
  },
  {
    title: 'a chunk size that overflows',
    ends: 'refused',
    late: true,
    bytes: `${post}transfer-encoding: chunked\r\n\r\n1${'0'.repeat(16)}5\r\nhello\r\n0\r\n\r\n`,
  },
  {
    title: 'a chunk size with a sign',
    ends: 'refused',
    late: true,
    bytes: `${post}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n`,
  },
  {
    title: 'a request behind one that is served: it is asked for itself',
    ends: 'denied',
    heard: ['GET /books cart.shop'],
    bytes: `${get}\r\nGET /secret HTTP/1.1\r\nhost: cart.shop\r\n${end}`,
  },
  {
    title: 'a request in a body: it stays one',
    ends: 'served',
    heard: ['POST /write cart.shop'],
    bytes: `${post}content-length: ${hidden.length}\r\n${end}${hidden}`,
  },
  {
    title: 'an upgrade to h2c',
    ends: 'served',
    bytes: `${get}upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\nconnection: upgrade, http2-settings, close\r\n\r\n`,
  },
];

export const hostileBytes: readonly HostileBytes[] = [...targets, ...lines, ...headers, ...smuggled];

const method = [':method', 'GET'] as const;
const path = [':path', '/books'] as const;
const scheme = [':scheme', 'http'] as const;
const authority = [':authority', 'cart.shop'] as const;

export const hostileFields: readonly HostileFields[] = [
  { title: 'as it should be', ends: 'served', fields: [method, scheme, authority, path] },
  {
    title: 'two paths, the allowed one first',
    ends: 'refused',
    fields: [method, scheme, authority, path, [':path', '/secret']],
  },
  {
    title: 'two paths, the allowed one last',
    ends: 'refused',
    fields: [method, scheme, authority, [':path', '/secret'], path],
  },
  { title: 'two methods', ends: 'refused', fields: [method, [':method', 'POST'], scheme, authority, path] },
  {
    title: 'two authorities',
    ends: 'refused',
    fields: [method, scheme, authority, [':authority', 'evil.example'], path],
  },
  { title: 'a path behind other fields', ends: 'refused', fields: [method, scheme, authority, ['x-a', 'b'], path] },
  {
    title: 'a pseudo-header that nobody knows',
    ends: 'refused',
    fields: [method, scheme, authority, path, [':user', '1']],
  },
  {
    title: 'a pseudo-header of answers',
    ends: 'refused',
    fields: [method, scheme, authority, path, [':status', '200']],
  },
  { title: 'no method', ends: 'refused', fields: [scheme, authority, path] },
  { title: 'no path', ends: 'refused', fields: [method, scheme, authority] },
  { title: 'an empty path', ends: 'refused', fields: [method, scheme, authority, [':path', '']] },
  {
    title: 'OPTIONS *',
    ends: 'refused',
    fields: [[':method', 'OPTIONS'], scheme, authority, [':path', '*']],
  },
  {
    title: 'a path beyond ASCII',
    ends: 'refused',
    but: { through: 'Envoy', ends: 'denied', why: 'in HTTP/2 it escapes what is beyond ASCII before policy is asked' },
    fields: [method, scheme, authority, [':path', '/books\u00c3\u00a9']],
  },
  {
    title: 'a path beyond ASCII, allowed as it is escaped',
    ends: 'refused',
    but: {
      through: 'Envoy',
      ends: 'served',
      heard: ['GET /caf%C3%A9 cart.shop'],
      why: 'in HTTP/2 it escapes what is beyond ASCII before policy is asked, and the app gets what policy saw',
    },
    fields: [method, scheme, authority, [':path', '/caf\u00c3\u00a9']],
  },
  { title: 'no scheme', ends: 'refused', fields: [method, authority, path] },
  {
    title: 'an absolute path',
    ends: 'refused',
    fields: [method, scheme, authority, [':path', 'http://cart.shop/books']],
  },
  {
    title: 'a path with a line in it',
    ends: 'refused',
    fields: [method, scheme, authority, [':path', '/books HTTP/1.1\r\nx-user: 1']],
  },
  {
    title: 'a path with an encoded slash',
    ends: 'refused',
    fields: [method, scheme, authority, [':path', '/books%2f..']],
  },
  {
    title: 'a path with dot segments',
    ends: 'denied',
    fields: [method, scheme, authority, [':path', '/books/../secret']],
  },
  {
    title: 'a method with a request in it',
    ends: 'refused',
    fields: [[':method', 'GET /secret HTTP/1.1'], scheme, authority, path],
  },
  {
    title: 'host beside another authority',
    ends: 'denied',
    but: { through: 'Node', ends: 'refused', why: 'RFC 9113, 8.3.1: two names for one server are malformed' },
    fields: [method, scheme, [':authority', 'evil.example'], [':path', '/host'], ['host', 'cart.shop']],
  },
  { title: 'a name in upper case', ends: 'refused', fields: [method, scheme, authority, path, ['X-User', '1']] },
  {
    title: 'a name with a colon',
    ends: 'refused',
    fields: [method, scheme, authority, path, ['x:user', '1']],
  },
  {
    title: 'an empty name',
    ends: 'refused',
    fields: [method, scheme, authority, path, ['', '1']],
  },
  {
    title: 'a value with a line in it',
    ends: 'refused',
    fields: [method, scheme, authority, path, ['x-a', 'b\r\nx-user: 1']],
  },
  {
    title: 'a value with NUL',
    ends: 'refused',
    fields: [method, scheme, authority, path, ['x-a', 'b\0']],
  },
  { title: 'connection', ends: 'refused', fields: [method, scheme, authority, path, ['connection', 'x-user']] },
  {
    title: 'transfer-encoding',
    ends: 'refused',
    fields: [method, scheme, authority, path, ['transfer-encoding', 'chunked']],
  },
  { title: 'te with more than trailers', ends: 'refused', fields: [method, scheme, authority, path, ['te', 'gzip']] },
  {
    title: 'a length that is not there',
    ends: 'refused',
    fields: [method, scheme, authority, path, ['content-length', '5']],
  },
  {
    title: 'one of two lines that matches',
    ends: 'served',
    heard: ['GET /user cart.shop'],
    fields: [method, scheme, authority, [':path', '/user'], ['x-user', '2'], ['x-user', '1']],
  },
  {
    title: 'a forged reason and identity',
    ends: 'served',
    fields: [
      method,
      scheme,
      authority,
      path,
      ['x-tulle-reason', 'no'],
      ['x-forwarded-client-cert', 'URI=spiffe://cluster.local/ns/shop/sa/admin'],
    ],
  },
];
