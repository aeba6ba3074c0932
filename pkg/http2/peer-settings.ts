import { ConnectionError, errorCode } from './error-codes.ts';
import { protocolError } from './frame-decoder.ts';
import { maxFrameSize, maxWindow, setting } from './frames.ts';

/** What the peer's SETTINGS say (RFC 9113 §6.5.2). */
export class PeerSettings {
  /** Streams that we may have open at once. */
  streams = Number.POSITIVE_INFINITY;
  /** What one SETTINGS frame says last of it: a frame that says it a thousand times must not cost a thousand times as much. */
  #initialWindow: number | undefined;
  readonly #setTableSize: (size: number) => void;

  constructor(setTableSize: (size: number) => void) {
    this.#setTableSize = setTableSize;
  }

  /** Throws a ConnectionError. */
  set(id: number, value: number): void {
    switch (id) {
      case setting.headerTableSize:
        this.#setTableSize(value);
        return;
      case setting.enablePush:
        if (value > 1) protocolError('SETTINGS_ENABLE_PUSH');
        return;
      case setting.maxConcurrentStreams:
        this.streams = value;
        return;
      case setting.initialWindowSize:
        if (value > maxWindow) throw new ConnectionError(errorCode.flowControlError, 'the initial window is too large');
        this.#initialWindow = value;
        return;
      case setting.maxFrameSize:
        if (value < maxFrameSize || value > 0xff_ffff) protocolError('SETTINGS_MAX_FRAME_SIZE');
    }
  }

  /** The initial window of streams, when it was said since the last call. */
  takeInitialWindow(): number | undefined {
    const value = this.#initialWindow;
    this.#initialWindow = undefined;
    return value;
  }
}
