/** Reads what HTTP makes of header blocks (RFC 9113 §8.1–8.3). Undefined: malformed, the stream is reset. */

export interface Http2RequestHead {
  readonly method: string;
  /** Empty for CONNECT. */
  readonly scheme: string;
  readonly authority: string | undefined;
  /** Empty for CONNECT. */
  readonly path: string;
  /** Without pseudo fields. */
  readonly fields: readonly string[];
  /** -1: not said. */
  readonly contentLength: number;
}

export interface Http2ResponseHead {
  readonly status: number;
  readonly fields: readonly string[];
  readonly contentLength: number;
}

const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

const schemePattern = /^[A-Za-z][A-Za-z0-9+.-]*$/;
const authorityPattern = /^[A-Za-z0-9._~!$&'()*+,;=%:@[\]-]+$/;
const pathPattern = /^[\x21-\x7e\x80-\xff]+$/;

export function readRequestHead(block: readonly string[]): Http2RequestHead | undefined {
  let method: string | undefined;
  let scheme: string | undefined;
  let authority: string | undefined;
  let path: string | undefined;
  let i = 0;
  for (; i < block.length && isPseudo(block[i] as string); i += 2) {
    const value = block[i + 1] as string;
    switch (block[i]) {
      case ':method':
        if (method !== undefined) return undefined;
        method = value;
        break;
      case ':scheme':
        if (scheme !== undefined) return undefined;
        scheme = value;
        break;
      case ':authority':
        if (authority !== undefined) return undefined;
        authority = value;
        break;
      case ':path':
        if (path !== undefined) return undefined;
        path = value;
        break;
      default:
        return undefined;
    }
  }
  if (method === undefined || !isToken(method)) return undefined;
  if (method === 'CONNECT') {
    if (scheme !== undefined || path !== undefined || authority === undefined) return undefined;
  } else if (scheme === undefined || !schemePattern.test(scheme) || path === undefined || !isTarget(path, method)) {
    return undefined;
  }
  if (authority !== undefined && !authorityPattern.test(authority)) return undefined;
  const contentLength = checkFields(block, i, true);
  if (contentLength === undefined) return undefined;
  // Whom it is for has to be said (§8.3.1).
  if (authority === undefined && !hasHost(block, i)) return undefined;
  return {
    method,
    scheme: scheme ?? '',
    authority,
    path: path ?? '',
    fields: block.slice(i),
    contentLength,
  };
}

export function readResponseHead(block: readonly string[]): Http2ResponseHead | undefined {
  if (block[0] !== ':status' || !/^[1-5]\d\d$/.test(block[1] as string)) return undefined;
  const contentLength = checkFields(block, 2, false);
  const status = Number(block[1]);
  // There are no upgrades (§8.6).
  if (contentLength === undefined || status === 101) return undefined;
  // No content, and no length either (RFC 9110 §8.6); 0 is harmless.
  if (contentLength > 0 && (status < 200 || status === 204)) return undefined;
  return { status, fields: block.slice(2), contentLength };
}

export function areTrailers(block: readonly string[]): boolean {
  return checkFields(block, 0, true) !== undefined;
}

/** The Content-Length, -1 when there is none; undefined when a field may not be there. */
function checkFields(block: readonly string[], from: number, isRequest: boolean): number | undefined {
  let length = -1;
  let hosts = 0;
  for (let i = from; i < block.length; i += 2) {
    const name = block[i] as string;
    if (isPseudo(name)) return undefined;
    switch (name.length) {
      case 2:
        if (name === 'te' && isRequest && (block[i + 1] as string).toLowerCase() !== 'trailers') return undefined;
        break;
      case 4:
        if (name === 'host' && ++hosts > 1) return undefined;
        break;
      case 14:
        if (name === 'content-length') {
          const value = block[i + 1] as string;
          if (!/^\d{1,15}$/.test(value) || (length !== -1 && length !== Number(value))) return undefined;
          length = Number(value);
        } else if (connectionSpecific.has(name)) return undefined;
        break;
      default:
        if (connectionSpecific.has(name)) return undefined;
    }
  }
  return length;
}

/** In origin form, or `*` of OPTIONS. */
function isTarget(path: string, method: string): boolean {
  return (path.charCodeAt(0) === 0x2f && pathPattern.test(path)) || (path === '*' && method === 'OPTIONS');
}

function hasHost(block: readonly string[], from: number): boolean {
  for (let i = from; i < block.length; i += 2) {
    if (block[i] === 'host') return authorityPattern.test(block[i + 1] as string);
  }
  return false;
}

function isPseudo(name: string): boolean {
  return name.charCodeAt(0) === 0x3a;
}

function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}
