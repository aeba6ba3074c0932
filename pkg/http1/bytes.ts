/** What single bytes may be, as tables: one load per byte on the hot path. RFC 9110 §5.6.2, RFC 9112 §2–§5. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;

/** Token bytes to their lower-case form; 0 for what is not a token byte. */
export const tokenLower = buildTokenTable();

/** 1 for what a field value, a reason phrase or a start line may hold: HTAB, SP, VCHAR, obs-text. */
export const textByte = buildTable((byte) => byte === HTAB || (byte >= SP && byte !== 0x7f));

/** Value of a hex digit, or -1. */
export const hexValue = buildHexTable();

function buildTable(allowed: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allowed(byte) ? 1 : 0));
}

function buildTokenTable(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => {
    const char = String.fromCharCode(byte);
    return /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(char) ? char.toLowerCase().charCodeAt(0) : 0;
  });
}

function buildHexTable(): Int8Array {
  return Int8Array.from({ length: 256 }, (_, byte) => {
    const char = String.fromCharCode(byte);
    return /[0-9A-Fa-f]/.test(char) ? Number.parseInt(char, 16) : -1;
  });
}
