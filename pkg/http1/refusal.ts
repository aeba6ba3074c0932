/**
 * Why bytes are not a message. Once refused, a connection is of no more use: nothing after the bad byte may be read.
 * README.md lists each, and which of them are stricter than Node's own parser.
 */
export type RefusalReason =
  // Start line
  | 'startLine'
  | 'startLineTooLong'
  | 'method'
  | 'target'
  | 'version'
  | 'status'
  | 'blankLines'
  // Fields
  | 'bareLineEnd'
  | 'fieldName'
  | 'fieldValue'
  | 'fieldFolded'
  | 'headTooLarge'
  | 'tooManyFields'
  // Meaning of fields
  | 'host'
  | 'contentLength'
  | 'transferEncoding'
  /** Well written, and not one that is known here. */
  | 'transferCoding'
  | 'lengthAndEncoding'
  | 'connection'
  | 'upgrade'
  | 'expectation'
  // Body
  | 'chunkSize'
  | 'chunkExtension'
  | 'chunkEnd'
  | 'trailer'
  // Order of messages
  | 'dataAfterClose'
  | 'unexpectedResponse'
  | 'truncated';

const statuses: Partial<Record<RefusalReason, number>> = {
  startLineTooLong: 414,
  headTooLarge: 431,
  tooManyFields: 431,
  expectation: 417,
  transferCoding: 501,
  version: 505,
};

/** The status that tells a client of the refusal (RFC 9110 §15.5). */
export function toStatus(reason: RefusalReason): number {
  return statuses[reason] ?? 400;
}
