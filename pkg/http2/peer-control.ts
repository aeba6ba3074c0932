import type { Patience } from './abuse.ts';
import type { Departure } from './departure.ts';
import { type ErrorCode, errorCode } from './error-codes.ts';
import { type FrameEvents, protocolError } from './frame-decoder.ts';
import { maxWindow, settingsAck, toPing } from './frames.ts';
import { PeerSettings } from './peer-settings.ts';
import type { Reception } from './reception.ts';
import type { Sender } from './sender.ts';
import type { Http2Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';

/** The parts of a connection that what the peer says of it and of its streams has to do with. */
export interface ControlledParts {
  readonly role: 'client' | 'server';
  readonly streams: StreamTable;
  readonly sender: Sender;
  readonly reception: Reception;
  readonly departure: Departure;
  readonly patience: Patience;
  /** Ends a stream for what the peer did wrong. */
  readonly refuse: (stream: Http2Stream, code: ErrorCode) => void;
  readonly refuseUnopened: (id: number, code: ErrorCode) => void;
  /** The first SETTINGS of the peer have come. */
  readonly onReady: () => void;
}

/** What the peer says that is neither request nor answer: settings, windows, resets, PINGs, and that it goes. */
export class PeerControl implements FrameEvents {
  readonly #parts: ControlledParts;
  readonly #settings: PeerSettings;
  #ready = false;

  constructor(parts: ControlledParts) {
    this.#parts = parts;
    const { encoder } = parts.sender;
    this.#settings = new PeerSettings((size) => encoder.setTableSize(size));
  }

  /** Its SETTINGS have come: streams may be opened. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Streams that it lets us have open at once. */
  get streams(): number {
    return this.#settings.streams;
  }

  reset(id: number, code: number): void {
    const stream = this.#openStream(id);
    if (stream === undefined) return;
    if (this.#parts.role === 'server') this.#parts.patience.spend();
    stream.abort(code);
  }

  setting(id: number, value: number): void {
    this.#settings.set(id, value);
  }

  settingsEnd(): void {
    const { patience, sender, streams, onReady } = this.#parts;
    patience.spend();
    sender.write(settingsAck);
    const initial = this.#settings.takeInitialWindow();
    if (initial !== undefined) sender.windows.setPeerInitial(initial, streams.values());
    if (this.#ready) return;
    this.#ready = true;
    onReady();
  }

  ping(payload: Buffer, ack: boolean): void {
    if (!ack) this.#parts.sender.write(toPing(payload, true));
    else this.#parts.departure.pinged(payload);
  }

  idle(): void {
    this.#parts.patience.spend();
  }

  wrongSize(id: number): void {
    this.#parts.refuseUnopened(id, errorCode.frameSizeError);
  }

  goaway(last: number): void {
    const { role, patience, departure, streams } = this.#parts;
    patience.spend();
    departure.follow();
    if (role === 'client') {
      // Those were not looked at, and may be asked again.
      for (const stream of streams.values()) if (stream.id > last) stream.abort(errorCode.refusedStream);
    }
    departure.streamEnded();
  }

  windowUpdate(id: number, increment: number): void {
    const { sender, refuse } = this.#parts;
    if (increment === 0) protocolError('a window update of 0');
    if (id === 0) {
      sender.windows.opened(increment);
      sender.pump();
      return;
    }
    const stream = this.#openStream(id);
    if (stream === undefined) return;
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindow) refuse(stream, errorCode.flowControlError);
    else stream.pump();
  }

  #openStream(id: number): Http2Stream | undefined {
    const stream = this.#parts.streams.get(id);
    if (stream === undefined) this.#parts.reception.checkKnown(id);
    return stream;
  }
}
