export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

/** The message is a constant, so that lines can be counted and searched; what varies goes into the fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger with fields that every line carries; `component` replaces the parent's. */
  with(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** Lines below it are dropped. */
  readonly level: LogLevel;
  readonly component: string;
  /** Takes one line, line feed included. */
  readonly write: (line: string) => void;
  readonly now?: () => Date;
}

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** `TULLE_LOG_LEVEL`; `info` for anything that is no level. */
export function decodeLogLevel(text: string | undefined): LogLevel {
  return text !== undefined && Object.hasOwn(ranks, text) ? (text as LogLevel) : 'info';
}

/** Longer values are cut: what comes from outside must not fill a disk. */
const maxText = 8192;

/** Writes one JSON object a line: `{"time","level","component","message",…fields}`. Never throws. */
export function createLogger({ level, component, write, now = () => new Date() }: LoggerOptions): Logger {
  const least = ranks[level];

  function bind(bound: LogFields): Logger {
    const logAt =
      (at: LogLevel) =>
      (message: string, fields?: LogFields): void => {
        if (ranks[at] < least) return;
        write(toLine({ time: now().toISOString(), level: at, ...bound, message, ...fields }));
      };
    return {
      debug: logAt('debug'),
      info: logAt('info'),
      warn: logAt('warn'),
      error: logAt('error'),
      with: (more) => bind({ ...bound, ...more }),
    };
  }

  return bind({ component });
}

/** A logger that says nothing, for tests and one-shot commands. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLogger,
};

function toLine(record: LogFields): string {
  try {
    return `${JSON.stringify(record, toPlain)}\n`;
  } catch {
    return `${JSON.stringify({ time: record['time'], level: record['level'], message: record['message'], unprintable: true })}\n`;
  }
}

function toPlain(_key: string, value: unknown): unknown {
  if (value instanceof Error) return toErrorText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string' && value.length > maxText) return `${value.slice(0, maxText)}…`;
  return value;
}

function toErrorText(error: Error): string {
  const cause = error.cause instanceof Error ? ` (${toErrorText(error.cause)})` : '';
  return `${error.stack ?? `${error.name}: ${error.message}`}${cause}`;
}
