import type { Duplex } from 'node:stream';
import { toForwardedResponse } from '../forward-head.ts';
import type { ForwardedFraming, HeadEdits } from '../forward-head.ts';
import type { RequestHead, ResponseHead } from '../head.ts';
import { toChunk, writeBoth } from './wire.ts';

const LAST_CHUNK = '0\r\n\r\n';

/** Writes one upstream's answer to the client, the head together with the first bytes of the body. */
export class AnswerWriter {
  /** This is the last answer on the client's connection. */
  close = false;
  status = 0;
  bytes = 0;

  readonly #socket: Duplex;
  readonly #request: RequestHead;
  #framing: ForwardedFraming = 'same';
  #begun = false;
  /** Waits for the bytes behind it. */
  #text = '';

  constructor(socket: Duplex, request: RequestHead) {
    this.#socket = socket;
    this.#request = request;
  }

  /** Something of the answer has gone to the client. */
  get sent(): boolean {
    return this.#begun && this.#text === '';
  }

  /** Only the end of the connection ends it. */
  get unframed(): boolean {
    return this.#framing === 'close';
  }

  /** `mustClose`: for reasons other than the answer's own framing. */
  head(head: ResponseHead, edits: HeadEdits, mustClose: boolean): void {
    const { minor, keepAlive } = this.#request;
    this.#begun = true;
    this.status = head.status;
    // Without an end of its own a body can't be told from one that broke off: HTTP/1.1 clients get it in chunks.
    if (head.framing === 'close') this.#framing = minor === 1 ? 'chunked' : 'close';
    else if (head.framing === 'chunked' && minor === 0) this.#framing = 'close';
    this.close = mustClose || !keepAlive || this.#framing === 'close';
    this.#text = toForwardedResponse(head, edits, {
      minor,
      framing: this.#framing,
      close: this.close,
    });
  }

  interim(head: ResponseHead, edits: HeadEdits): void {
    this.#socket.write(
      toForwardedResponse(head, edits, {
        minor: 1,
        framing: 'same',
        close: false,
      }),
      'latin1',
    );
  }

  /** False: the socket wants a pause. */
  body(bytes: Buffer): boolean {
    const text = this.#text;
    this.#text = '';
    this.bytes += bytes.length;
    return writeBoth(this.#socket, text, this.#framing === 'chunked' ? toChunk(bytes) : bytes);
  }

  flush(): void {
    if (this.#text === '') return;
    this.#socket.write(this.#text, 'latin1');
    this.#text = '';
  }

  end(): void {
    if (this.#framing === 'chunked') this.#text += LAST_CHUNK;
    this.flush();
  }
}
