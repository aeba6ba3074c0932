import { bit, isOneName, toFieldId } from './field-names.ts';
import { FIELD_WIDTH } from './head-scanner.ts';
import type { HeadScanner } from './head-scanner.ts';

/** How a message's body is delimited (RFC 9112 §6.3). `close`: until the connection ends, responses only. */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/** The field lines of a head or trailer section, decoded only where asked for. Immutable: may be kept. */
export class FieldLines {
  /** All bytes of the section, one character per byte, the empty line included. */
  readonly text: string;
  readonly fields: readonly number[];
  /** Which known fields are there, as bits of `field-names.ts`. */
  readonly mask: number;
  /** Every line can be forwarded as it stands. */
  readonly plain: boolean;

  constructor(scanner: HeadScanner) {
    this.text = scanner.text;
    this.fields = scanner.fields;
    this.mask = scanner.mask;
    this.plain = scanner.plain;
  }

  get count(): number {
    return this.fields.length / FIELD_WIDTH;
  }

  has(id: number): boolean {
    return (this.mask & bit(id)) !== 0;
  }

  /** Name of a line, as sent. */
  name(index: number): string {
    return this.text.slice(this.fields[index * FIELD_WIDTH], this.fields[index * FIELD_WIDTH + 1]);
  }

  /** Value of a line, without the blanks around it. */
  value(index: number): string {
    return this.text.slice(this.fields[index * FIELD_WIDTH + 2], this.fields[index * FIELD_WIDTH + 3]);
  }

  /** A line as sent, line end included. */
  line(index: number): string {
    const at = index * FIELD_WIDTH;
    const next = this.fields[at + FIELD_WIDTH] ?? this.text.length - 2;
    return this.text.slice(this.fields[at], next);
  }

  id(index: number): number {
    return this.fields[index * FIELD_WIDTH + 4]!;
  }

  /** Value of the first line of a known field. */
  first(id: number): string | undefined {
    if (!this.has(id)) return undefined;
    const { fields } = this;
    for (let at = 4; at < fields.length; at += FIELD_WIDTH) {
      if (fields[at] === id) return this.text.slice(fields[at - 2], fields[at - 1]);
    }
    return undefined;
  }

  /** All lines of a field by its lower-case name, in their order. */
  lines(lowerName: string): readonly string[] {
    const id = toFieldId(lowerName);
    if (id !== 0 && !this.has(id)) return none;
    let found: string[] | undefined;
    for (let i = 0; i < this.count; i++) {
      if (this.isNamed(i, lowerName, id)) (found ??= []).push(this.value(i));
    }
    return found ?? none;
  }

  isNamed(index: number, lowerName: string, id: number): boolean {
    const at = index * FIELD_WIDTH;
    const { fields } = this;
    if (fields[at + 4] !== id) return false;
    if (isOneName(id)) return true;
    return fields[at + 1]! - fields[at]! === lowerName.length && this.name(index).toLowerCase() === lowerName;
  }
}

const none: readonly string[] = [];

export interface MessageFacts {
  readonly minor: 0 | 1;
  readonly framing: Framing;
  /** Body length; 0 unless `framing` is `length`. */
  readonly length: number;
  /** Another message may follow on this connection. */
  readonly keepAlive: boolean;
  /** Names that the Connection field nominates, lower case; they end here (RFC 9110 §7.6.1). */
  readonly nominated: readonly string[];
  readonly startLineLength: number;
}

/** What requests and responses have in common. */
export class MessageHead extends FieldLines implements MessageFacts {
  readonly minor: 0 | 1;
  readonly framing: Framing;
  readonly length: number;
  readonly keepAlive: boolean;
  readonly nominated: readonly string[];
  readonly startLineLength: number;

  constructor(scanner: HeadScanner, facts: MessageFacts) {
    super(scanner);
    this.minor = facts.minor;
    this.framing = facts.framing;
    this.length = facts.length;
    this.keepAlive = facts.keepAlive;
    this.nominated = facts.nominated;
    this.startLineLength = facts.startLineLength;
  }

  /** Start line as sent, without its line end. */
  get startLine(): string {
    return this.text.slice(0, this.startLineLength);
  }

  /**
   * The lines of a field as the next hop will see them: empty when the Connection field nominates it. Policy must ask
   * here, else a request is judged by a line that its receiver never gets.
   */
  forwardedLines(lowerName: string): readonly string[] {
    return this.nominated.includes(lowerName) ? none : this.lines(lowerName);
  }
}

/** RFC 9112 §3.2. */
export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk';

export interface RequestFacts {
  readonly method: string;
  readonly target: string;
  readonly form: TargetForm;
  readonly path: string;
  readonly authority: string;
  readonly upgrade: string;
  readonly expectsContinue: boolean;
}

export class RequestHead extends MessageHead {
  readonly method: string;
  /** As sent. */
  readonly target: string;
  readonly form: TargetForm;
  /** Path and query to forward, not normalised; `*` in asterisk form, empty for CONNECT. */
  readonly path: string;
  /** Host and port that are meant: of an absolute target, of CONNECT, else of the Host line; empty when there is none. */
  readonly authority: string;
  /** The one protocol asked for by Upgrade, lower case; empty: none. CONNECT has none. */
  readonly upgrade: string;
  readonly expectsContinue: boolean;

  constructor(scanner: HeadScanner, facts: MessageFacts, request: RequestFacts) {
    super(scanner, facts);
    this.method = request.method;
    this.target = request.target;
    this.form = request.form;
    this.path = request.path;
    this.authority = request.authority;
    this.upgrade = request.upgrade;
    this.expectsContinue = request.expectsContinue;
  }

  /** The bytes behind the head may belong to another protocol, if the answer says so. */
  get maySwitch(): boolean {
    return this.upgrade !== '' || this.method === 'CONNECT';
  }
}

export class ResponseHead extends MessageHead {
  readonly status: number;
  /** The bytes behind the head belong to another protocol: 101, or success of CONNECT. */
  readonly switches: boolean;

  constructor(scanner: HeadScanner, facts: MessageFacts, status: number, switches: boolean) {
    super(scanner, facts);
    this.status = status;
    this.switches = switches;
  }

  /** 1xx other than 101: the real response is still to come. */
  get interim(): boolean {
    return this.status < 200 && this.status !== 101;
  }
}
